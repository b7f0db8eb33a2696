"""Tables of the benchmarks."""

from rich.console import Console

from plumkeras.recipes.views.terminal.tables import escape, make_table


def print_benchmark(result, recipe, console=None):
    """Medians of both kinds of epoch, their ratio, and the share of padding that is computed on."""
    console = console or Console()
    rounds = len(result["padded"]["all_seconds"])
    title = f"Epoch of stage 2, recipe {recipe}, {result['samples']} samples in {result['batches']} batches"
    table = make_table(title, "batches", f"median of {rounds}, s", "padded frames computed on, %")
    for kind, name in (("length_aware", "length-aware"), ("padded", "padded to the longest")):
        table.add_row(name, f"{result[kind]['seconds']:.2f}", f"{100 * result[kind]['padding_share']:.1f}")
    console.print(table)
    console.print(f"length-aware is {result['speedup']:.2f} times as fast (ratio of the medians, epochs taken in turn)")


def print_models_benchmark(found, recipe, samples, rounds, console=None):
    """What `benchmark_models` measured: a row for each model, with the ratio to the recipe's own."""
    console = console or Console()
    title = f"An epoch of the last stage, validation included, {samples} samples, median of {rounds}"
    table = make_table(title, "", "parameters", "s", "CPU s", f"time / {recipe}'s")
    for row in found.values():
        seconds = (f"{row[clock]:.2f}" for clock in ("seconds", "cpu_seconds"))
        table.add_row(row["title"], f"{row['parameters']:,}", *seconds, f"{row['ratio']:.2f}")
    console.print(table)


def print_data_benchmark(result, recipe, console=None):
    """What `benchmark_data` measured: rates, their ratio, and the memory of training from shards."""
    console = console or Console()
    title = f"{result['samples']} generated samples of {result['sample_bytes']} bytes, recipe {recipe}"
    table = make_table(title, "", "samples", "s", "samples/s")
    parts = {
        "conversion": "conversion to shards",
        "reading": f"reading in training order, median of {len(result['reading']['all_seconds'])}",
        "training": "training, steps of stage 2",
    }
    for part, name in parts.items():
        facts = result[part]
        table.add_row(name, str(facts["samples"]), f"{facts['seconds']:.2f}", f"{facts['samples_per_second']:.0f}")
    console.print(table)
    console.print(f"reading is {result['reading_over_training']:.1f} times as fast as training")
    whole, tenth = (result["peak_memory"][name] / 1e6 for name in ("whole", "tenth"))
    console.print(
        f"peak memory of an epoch from shards: {whole:.0f} MB, on a tenth of the samples {tenth:.0f} MB: "
        f"{whole - tenth:+.0f} MB"
    )


def print_serving_benchmark(result, console=None):
    """Latencies of both kinds with their ratio, and how the load went."""
    console = console or Console()
    calls = len(next(iter(result["latency"].values()))["exported"]["all"])
    table = make_table(f"Latency over {calls} calls, ms", "", "batch", "p50", "p99")
    names = {"exported": "SavedModel, serving_default", "in_memory": "network in memory, compiled"}
    for batch, measured in result["latency"].items():
        for kind, name in names.items():
            table.add_row(name, str(batch), f"{measured[kind]['p50']:.2f}", f"{measured[kind]['p99']:.2f}")
        table.add_row("ratio", str(batch), f"{measured['ratio_p50']:.3f}", f"{measured['ratio_p99']:.3f}")
    console.print(table)
    console.print(f"{result['shape']}; called in turn in one process", style="dim", highlight=False)
    load = result["load"]
    memory = ""
    if load["memory_before"] is not None:
        before, after = load["memory_before"] / 1e6, load["memory_after"] / 1e6
        memory = f"; memory {before:.0f} MB before, {after:.0f} MB after ({after - before:+.0f} MB)"
    console.print(
        f"{load['threads']} threads, batch 1, {load['seconds']:.0f} s: {load['calls']} calls, "
        f"{len(load['errors'])} errors{memory}",
        highlight=False,
    )
    for error in load["errors"][:1]:
        console.print(escape(error))


def print_step_benchmark(result, console=None):
    """A table for each stage: first call, step, share of the matrix product's speed, nodes, memory."""
    console = console or Console()
    names = {
        "shared": "shared common branch",
        "per_modality": "common branch per modality",
        "mixed_bfloat16": "shared, mixed_bfloat16",
        "against": "the other checkout",
        "torch": "PyTorch",
    }
    kinds, clock = result["kinds"], ("wall", "CPU").index(result["clock"])
    base = kinds["against" if "against" in kinds else "shared"]
    seconds = f"{result['clock']} seconds{' on a GPU' if result['device'] == 'gpu' else ''}"
    for stage in ("alignment", "refinement"):
        title = f"{stage}, shape {result['shape']}, batch {result['batch_size']}: {seconds}, ratio"
        table = make_table(title, "", "first call", "ratio", "step", "ratio", "of peak", "nodes", "memory, MB")
        for kind, measured in kinds.items():
            values = measured[stage]
            cells = []
            for what, digits in (("first", 1), ("step", 4 if clock == 0 else 3)):
                value = values[what][clock]
                cells += [f"{value:.{digits}f}", f"{value / base[stage][what][clock]:.2f}"]
            cells += [f"{values['share_of_peak']:.2f}", f"{values['nodes'] or '-'}"]
            table.add_row(names[kind], *cells, f"{measured['peak_memory'] / 1e6:.0f}")
        console.print(table)
    first = names["against" if "against" in kinds else "shared"]
    console.print(
        f"Ratios to {first}. A first call is a fit of one step; of peak: the step's operations a second over those "
        "of a float32 matrix product in the same process, measured in turn; memory: the peak after both stages.",
        style="dim",
        highlight=False,
    )
