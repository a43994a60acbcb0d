"""All transitions, in any order, by any process, against a model that has no files.

The model knows each pod's state and who holds which lock on it. The rules do one thing through one of
three handles (the creator's, and two of others that may remember stale states), and after every step
each way of asking must tell the model's state.
"""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from carob.errors import CarobError, Conflict, LostRace, NotFound
from carob.pod import Pod, collect_garbage, delete, new_pod, open_pod, scan
from carob.pod.collect import Policy
from carob.pod.state import STATES, TRANSITIONS, Directory, State, directory_of, state_of

RENAMES = {transition.name: transition for transition in TRANSITIONS}


class Model:
    """A pod without files: where it is, which handle holds the exclusive lock, and which share one."""

    def __init__(self) -> None:
        self.directory: Directory | None = Directory.PREPARE
        self.exclusive: str | None = "creator"
        self.shared: set[str] = set()

    @property
    def state(self) -> State:
        return state_of(self.directory, locked=self.exclusive is not None)

    def let_go(self, handle: str) -> None:
        self.shared.discard(handle)
        if self.exclusive == handle:
            self.exclusive = None


class PodLife(RuleBasedStateMachine):
    uuids = Bundle("uuids")

    def __init__(self) -> None:
        super().__init__()
        self.data_dir = tempfile.mkdtemp(prefix="carob-model-")
        self.models: dict[str, Model] = {}
        self.handles: dict[tuple[str, str], Pod] = {}

    def teardown(self) -> None:
        for pod in self.handles.values():
            pod.close()
        shutil.rmtree(self.data_dir)

    def handle(self, uuid: str, name: str) -> Pod:
        """The handle, opened where it was not; a handle remembers what it saw last."""
        if (uuid, name) not in self.handles:
            try:
                self.handles[uuid, name] = open_pod(self.data_dir, uuid)
            except NotFound:
                assert self.models[uuid].state is State.GONE
                self.handles[uuid, name] = Pod(self.data_dir, uuid, State.GONE)
        return self.handles[uuid, name]

    handle_names = st.sampled_from(["creator", "first", "second"])

    @rule(target=uuids)
    def make(self) -> str:
        pod = new_pod(self.data_dir)
        self.models[pod.uuid] = Model()
        self.handles[pod.uuid, "creator"] = pod
        return pod.uuid

    @rule(uuid=uuids, name=handle_names, transition=st.sampled_from(sorted(RENAMES)))
    def move(self, uuid: str, name: str, transition: str) -> None:
        model, pod = self.models[uuid], self.handle(uuid, name)
        remembered, before = pod.state(), model.state
        holds = model.exclusive == name
        is_creator = name == "creator" and pod._created_by_me and holds
        change = RENAMES[transition]
        sources = change.sources | (change.creator_sources if is_creator else frozenset())
        others_hold = (model.exclusive is not None and not holds) or bool(model.shared - {name})
        possible = before in sources
        if transition in ("to_preparing", "to_prepared"):
            possible = possible and is_creator and remembered in change.creator_sources
        elif transition == "to_run":
            possible = possible and (holds or (not others_hold and name not in model.shared))
        elif not holds:
            possible = possible and model.exclusive is None
        arguments = {"lock_timeout_s": 0} if transition in ("to_run", "to_garbage") else {}
        if not possible:
            with pytest.raises(Conflict) as refused:
                getattr(pod, transition)(**arguments)
            assert not isinstance(refused.value, LostRace) or refused.value.state == before
            return
        getattr(pod, transition)(**arguments)
        model.directory = directory_of(change.target)
        if transition == "to_prepared":
            model.let_go(name)
        if transition == "to_run":
            model.exclusive = name
        assert pod.state() in (model.state, change.target)

    @rule(uuid=uuids, name=handle_names, shared=st.booleans())
    def lock(self, uuid: str, name: str, shared: bool) -> None:
        model, pod = self.models[uuid], self.handle(uuid, name)
        holds_other_kind = (model.exclusive == name) if shared else (name in model.shared)
        try:
            taken = pod.try_shared_lock() if shared else pod.try_exclusive_lock()
        except Conflict:
            assert holds_other_kind
            return
        except NotFound:
            assert model.state is State.GONE
            return
        assert not holds_other_kind
        if model.state is State.GONE:
            pod.unlock()
            return
        others = model.exclusive not in (None, name) or (not shared and bool(model.shared - {name}))
        assert taken is not others
        if taken and shared:
            model.shared.add(name)
        elif taken:
            model.exclusive = name

    @rule(uuid=uuids, name=handle_names)
    def unlock(self, uuid: str, name: str) -> None:
        self.handle(uuid, name).unlock()
        self.models[uuid].let_go(name)

    @rule(uuid=uuids, name=handle_names)
    def close(self, uuid: str, name: str) -> None:
        self.handle(uuid, name).close()
        del self.handles[uuid, name]
        self.models[uuid].let_go(name)

    @rule(uuid=uuids, name=handle_names)
    def refresh(self, uuid: str, name: str) -> None:
        assert self.handle(uuid, name).refresh() is self.models[uuid].state

    @rule(uuid=uuids, name=handle_names)
    def delete(self, uuid: str, name: str) -> None:
        model, pod = self.models[uuid], self.handle(uuid, name)
        before = model.state
        garbage = model.directory in (Directory.EXITED_GARBAGE, Directory.GARBAGE)
        free = not (model.shared - {name}) and model.exclusive in (None, name) and name not in model.shared
        if not (garbage and free):
            with pytest.raises(Conflict) as refused:
                delete(pod)
            assert not isinstance(refused.value, LostRace) or refused.value.state == before
            return
        delete(pod)
        model.directory = None
        model.exclusive = None
        model.shared.clear()
        assert pod.state() is State.GONE

    @rule(mark_only=st.booleans())
    def collect(self, mark_only: bool) -> None:
        policy = Policy(grace_s=0, expire_prepared_s=0, mark_only=mark_only)
        collect_garbage(self.data_dir, policy, alive=lambda pod: False, clean_up=lambda pod: None)
        for model in self.models.values():
            self.collect_one(model, mark_only)

    def collect_one(self, model: Model, mark_only: bool) -> None:
        free = model.exclusive is None
        if model.state is State.EXITED:
            model.directory = Directory.EXITED_GARBAGE
        elif model.state is State.ABORTED_PREPARE or (
            model.state is State.PREPARED and free and not mark_only
        ):
            model.directory = Directory.GARBAGE
        garbage = model.directory in (Directory.EXITED_GARBAGE, Directory.GARBAGE)
        if garbage and free and not model.shared and not mark_only:
            model.directory = None

    @rule(uuid=consumes(uuids))
    def forget(self, uuid: str) -> None:
        """Its holders die: every lock is free, and the pod is wherever it was."""
        for key in [key for key in self.handles if key[0] == uuid]:
            self.handles.pop(key).close()
        self.models[uuid].exclusive = None
        self.models[uuid].shared.clear()

    @invariant()
    def every_way_of_asking_tells_the_models_state(self) -> None:
        expected = {uuid: model.state for uuid, model in self.models.items()}
        present = {uuid: state for uuid, state in expected.items() if state is not State.GONE}
        found = scan(self.data_dir)
        assert dict(found) == present
        assert len(found) == len(present)
        for uuid, state in expected.items():
            try:
                with open_pod(self.data_dir, uuid) as pod:
                    assert pod.state() is state
                    assert pod.path() == f"{self.data_dir}/pods/{directory_of(state)}/{uuid}"
            except CarobError:
                assert state is State.GONE

    @invariant()
    def a_pod_is_in_one_directory(self) -> None:
        for uuid, model in self.models.items():
            places = [
                directory
                for directory in Directory
                if os.path.exists(f"{self.data_dir}/pods/{directory}/{uuid}")
            ]
            assert places == ([] if model.directory is None else [model.directory])


TestPodLife = pytest.mark.timeout(300)(PodLife.TestCase)
TestPodLife.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def test_the_model_reaches_every_state() -> None:
    """The rules lead everywhere: all of the table's states but ``embryo``, which lasts an instant."""
    life = PodLife()
    seen: set[State] = set()

    def look() -> None:
        life.every_way_of_asking_tells_the_models_state()
        seen.update(model.state for model in life.models.values())

    try:
        ended, aborted = life.make(), life.make()
        look()
        for transition in ("to_prepared", "to_run"):
            life.move(ended, "creator", transition)
            look()
        life.close(ended, "creator")
        life.close(aborted, "creator")
        look()
        life.move(ended, "first", "to_exited_garbage")
        life.move(aborted, "first", "to_garbage")
        look()
        for uuid in (ended, aborted):
            life.lock(uuid, "first", shared=False)
        look()
        for uuid in (ended, aborted):
            life.delete(uuid, "first")
        look()
    finally:
        life.teardown()
    assert seen == {state for pair in STATES.values() for state in pair} - {State.EMBRYO}
