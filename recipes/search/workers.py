"""A search over several machines, by KerasTuner's own messages: a chief holds the oracle, workers run its trials.

Nothing but the connection is shared. A worker reads its own copy of the data file, hands in what came of a trial by the
chief, and writes nothing. KerasTuner's own chief waits for ever for a worker that was killed; this one gives its trial
to another.
"""

import contextlib
import json
import os
import threading
import time
from concurrent import futures

import grpc
import keras
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.src.distribute import oracle_client
from keras_tuner.src.distribute.oracle_chief import OracleServicer
from keras_tuner.src.protos import get_service, get_service_grpc

from plumkeras.recipes.config import ConfigError, TrainingError
from plumkeras.recipes.runs.resuming import first_difference
from plumkeras.recipes.search.trials import RecipeHyperModel, work
from plumkeras.recipes.views.escaping import for_terminal

# A worker says so often that it is alive, and is given up for lost after so long a silence.
BEAT_SECONDS = 10
SILENCE_SECONDS = 120
# How long workers wait for a chief, to begin with or because it was stopped and is resumed.
PATIENCE_SECONDS = 600
# How long the chief stays when all is done, so that each worker that waits is told.
_GOODBYE_SECONDS = 10
_FACTS = "plumkeras/facts"


class _Servicer(OracleServicer):
    """KerasTuner's, which also knows when it last heard of each trial, and what search this is."""

    def __init__(self, oracle, facts):
        super().__init__(oracle)
        self.facts = json.dumps(facts)
        self.heard, self.error = {}, None
        # KerasTuner's own lock is never released after an error.
        self.lock = threading.Lock()

    def GetSpace(self, request, context):
        space = self.oracle.get_space()
        space.values[_FACTS] = self.facts
        return get_service().GetSpaceResponse(hyperparameters=space.to_proto())

    def CreateTrial(self, request, context):
        with self.kept():
            response = super().CreateTrial(request, context)
        self.heard[response.trial.trial_id] = time.monotonic()
        return response

    def GetTrial(self, request, context):
        self.heard[request.trial_id] = time.monotonic()
        return super().GetTrial(request, context)

    def EndTrial(self, request, context):
        with self.kept():
            return super().EndTrial(request, context)

    @contextlib.contextmanager
    def kept(self):
        """An error in here, a full disk say, ends the search, and not only the call."""
        with self.lock:
            if self.error is not None:
                raise self.error
            try:
                yield
            except Exception as error:
                self.error = error
                raise

    def give_up_silent(self):
        """Gives the trials of workers that have not been heard of for long to others."""
        for worker, trial in list(self.oracle.ongoing_trials.items()):
            silence = time.monotonic() - self.heard.setdefault(trial.trial_id, time.monotonic())
            if silence > SILENCE_SECONDS:
                del self.heard[trial.trial_id]
                said = f"Nothing was heard of worker {for_terminal(worker)} for {silence:.0f} s"
                print(f"{said}; trial {int(trial.trial_id)} goes to another", flush=True)
                self.oracle.give_up_worker(worker)


def serve(oracle, host, port):
    """Hands out an oracle's trials until all of them have ended.

    Args:
        oracle: one of `search.oracle`.
        host, port: where to listen.

    Raises:
        ConfigError: nothing can listen there.
    """
    servicer = _Servicer(oracle, oracle.search.facts(keras.backend.backend()))
    # One call at a time. Without the option, a second chief could share the port and get half of the workers.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=[("grpc.so_reuseport", 0)])
    get_service_grpc().add_OracleServicer_to_server(servicer, server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError:
        bound = 0
    if not bound:
        raise ConfigError(f"--chief {host}:{port}: cannot be listened at; is the port in use, or the host another one?")
    server.start()
    print(f"Waiting for workers at {host}:{port}", flush=True)
    try:
        while servicer.error is None and not servicer.stop_triggered and not oracle.is_finished:
            time.sleep(0.1)
            with servicer.kept():
                servicer.give_up_silent()
        leave = time.monotonic() + _GOODBYE_SECONDS
        while servicer.error is None and oracle.tuner_ids and time.monotonic() < leave:
            time.sleep(0.1)
    finally:
        server.stop(grace=2).wait()
    if servicer.error is not None:
        raise servicer.error


def join(search, host, port, worker):
    """Runs trials for a chief until it has no more.

    Args:
        search: `Search`, the same as the chief's.
        host, port: where the chief is.
        worker: name of this worker, which no other has.

    Returns:
        int. How many trials were run here.

    Raises:
        ConfigError: the chief's search is another one.
        TrainingError: no chief answers.
    """
    model = RecipeHyperModel(search)
    oracle_client.TIMEOUT = PATIENCE_SECONDS
    with _connection(host, port, worker):
        client = _Client(oracle_client.OracleClient(None))
    print(f"Worker {worker}: waiting for the chief at {host}:{port}", flush=True)
    try:
        _check_same(search, client, f"{host}:{port}")
        return work(client, model, worker)
    except grpc.RpcError as error:
        if error.code() in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE):
            said = f"no chief answers, for {PATIENCE_SECONDS / 60:g} minutes"
        else:
            said = f"the chief has failed: {error.details()}"
        raise TrainingError(f"--join {host}:{port}: {said}") from error


def _check_same(search, client, where):
    then = json.loads(client.get_space().values.get(_FACTS, "{}"))
    now = search.facts(keras.backend.backend())
    if field := first_difference(then, now):
        raise ConfigError(
            f"--join {where}: the chief has another search: {field} is {then.get(field)!r} there and "
            f"{now.get(field)!r} here; start chief and workers with the same recipe, fields, data, space and seeds"
        )


class _Client:
    """KerasTuner's client, which says that it is alive while a trial runs."""

    def __init__(self, client):
        self.client = client
        self.get_space = client.get_space
        self._is_over = None

    def create_trial(self, worker):
        trial = self.client.create_trial(worker)
        if trial.status == TrialStatus.RUNNING:
            self._is_over = threading.Event()
            threading.Thread(target=self._beat, args=(trial.trial_id, self._is_over), daemon=True).start()
        return trial

    def end_trial(self, trial):
        self._is_over.set()
        self.client.end_trial(trial)

    def _beat(self, trial_id, is_over):
        while not is_over.wait(BEAT_SECONDS):
            # A chief that is away may come back; whether it does not, the next call tells.
            with contextlib.suppress(grpc.RpcError):
                self.client.get_trial(trial_id)


@contextlib.contextmanager
def _connection(host, port, worker):
    """The variables by which KerasTuner is told where its chief is."""
    told = {
        "KERASTUNER_ORACLE_IP": host,
        "KERASTUNER_ORACLE_PORT": str(port),
        "KERASTUNER_TUNER_ID": worker,
    }
    before = {name: os.environ[name] for name in told if name in os.environ}
    os.environ.update(told)
    try:
        yield
    finally:
        for name in told:
            del os.environ[name]
        os.environ.update(before)
