"""The page of a run in Chromium: on a desk and on a telephone, sorted, filtered, and whatever its texts hold."""

import shutil

import pytest

from plumkeras.recipes.report import write_report
from tests.testing import report_directories as made


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    programs = {"chromium": shutil.which("chromium"), "chromedriver": shutil.which("chromedriver")}
    for name, path in programs.items():
        if path is None:
            pytest.skip(f"there is no {name}; Debian has it in the packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=programs["chromedriver"])
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    directory = tmp_path_factory.mktemp("report") / "run"
    made.write_run(directory)
    return write_report(directory)


def opened(browser, page, width=1280):
    phone = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    browser.get(page.as_uri())


def shown(browser, title):
    """The texts of a column in the rows that are seen, in order."""
    return browser.execute_script(
        "return [...document.querySelectorAll('.samples tbody tr')].filter((row) => row.getClientRects().length)"
        ".map((row) => row.querySelector(`[data-title='${arguments[0]}']`).textContent)",
        title,
    )


def head(browser, title):
    """The button and the heading of a column."""
    (found,) = (h for h in browser.find_elements("css selector", ".samples thead th") if h.text.startswith(title))
    return found.find_element("tag name", "button"), found


def status(browser):
    return browser.find_element("css selector", "[role=status]").text


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("kind", ["run", "sets", "seeds", "experiment"])
def test_nothing_is_wider_than_the_window_and_the_console_is_empty(browser, tmp_path, kind, width):
    {
        "run": made.write_run,
        "sets": lambda directory: made.write_run(directory, "multilabel", ["happy", "a label with a long name", "sad"]),
        "seeds": made.write_seeds,
        "experiment": made.write_experiment,
    }[kind](tmp_path / kind)
    opened(browser, write_report(tmp_path / kind), width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []
    # Figures are drawn, as wide as there is room.
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('figure svg, figure img')].map((e) => e.getBoundingClientRect().width)"
    )
    assert sizes and all(100 < size <= width for size in sizes)


def test_a_column_is_sorted_by_a_click_and_by_the_keyboard(browser, page):
    from selenium.webdriver.common.keys import Keys

    opened(browser, page)
    button, heading = head(browser, "error")
    assert heading.get_attribute("aria-sort") is None
    button.click()
    errors = [float(text) for text in shown(browser, "error")]
    assert heading.get_attribute("aria-sort") == "ascending" and errors == sorted(errors) and len(errors) == 50
    button.send_keys(Keys.ENTER)
    errors = [float(text) for text in shown(browser, "error")]
    assert heading.get_attribute("aria-sort") == "descending" and errors == sorted(errors, reverse=True)
    # Texts by the numbers in them; what is missing comes last, up and down.
    button, other = head(browser, "id")
    button.send_keys(Keys.SPACE)
    assert shown(browser, "id")[:3] == ["video_0", "video_1", "video_2"] and heading.get_attribute("aria-sort") is None
    browser.find_element("css selector", "[data-every]").click()
    button, other = head(browser, "audio says")
    for direction in ("ascending", "descending"):
        button.send_keys(Keys.ENTER)
        assert other.get_attribute("aria-sort") == direction
        browser.find_element("css selector", "[data-every]").click()
        labels = shown(browser, "audio says")
        assert labels[-1] == "missing" and "missing" not in labels[:-1]
        assert [label.split()[0] for label in labels[:-1]] == sorted(
            (label.split()[0] for label in labels[:-1]), reverse=direction == "descending"
        )
    assert browser.get_log("browser") == []


def test_samples_are_filtered_by_what_is_typed_and_by_disagreement(browser, page):
    opened(browser, page)
    assert status(browser) == "90 of 90 samples, of which the first 50 are shown"
    browser.find_element("css selector", "[data-more]").click()
    assert status(browser) == "90 of 90 samples" and len(shown(browser, "id")) == 90
    box = browser.find_element("css selector", "input[type=search]")
    box.send_keys("SENTENCE 1")
    found = shown(browser, "transcript")
    assert len(found) == 11 and all("sentence 1" in text for text in found) and status(browser) == "11 of 90 samples"
    box.clear()
    box.send_keys("no such text")
    assert shown(browser, "id") == [] and status(browser) == "0 of 90 samples"
    box.clear()
    box.send_keys(" ")
    browser.find_element("css selector", "option[value=disagree]").click()
    count = int(status(browser).split()[0])
    rows = [shown(browser, f"{m} says") for m in made.MODALITIES]
    labels = [{label.split()[0] for label in row} - {"missing"} for row in zip(*rows, strict=True)]
    assert 0 < count < 90 and all(len(row) > 1 for row in labels)


def test_hostile_texts_do_nothing(browser, page):
    opened(browser, page, 390)
    box = browser.find_element("css selector", "input[type=search]")
    for text in ("taken over", "</td></table>"):
        box.clear()
        box.send_keys(text)
        assert shown(browser, "transcript")
    assert browser.title == "Run of synthetic, seed 0"
    counts = browser.execute_script(
        "return ['script', 'style', '.samples img', '.samples b'].map((s) => document.querySelectorAll(s).length)"
    )
    assert counts == [1, 1, 0, 0]
    # Even a script that came in is not run, and nothing is loaded from elsewhere.
    browser.execute_script(
        "const one = document.createElement('script'); one.textContent = \"document.title = 'taken over'\";"
        "document.body.append(one); const two = new Image(); two.src = 'https://example.org/x.png';"
        "document.body.append(two);"
    )
    assert browser.title == "Run of synthetic, seed 0"
    assert len([entry for entry in browser.get_log("browser") if "Content Security Policy" in entry["message"]]) == 2


def test_the_command_can_be_copied_and_headings_reached(browser, page):
    opened(browser, page)
    buttons = browser.find_elements("css selector", "[data-copy]")
    assert len(buttons) == 2 and all(button.is_displayed() for button in buttons)
    for link in browser.find_elements("css selector", "nav a"):
        place = link.get_attribute("href").partition("#")[2]
        assert browser.find_elements("css selector", f"section#{place} h2")
