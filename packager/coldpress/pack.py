"""The road from a model to a folder that can be deployed: what happens, in which order, and nothing else.

Nothing is written to the output folder before everything has succeeded; then the finished folder takes the old one's
place.
"""

import dataclasses
import tempfile
from pathlib import Path
from typing import NamedTuple

from coldpress.bundle.archive import Archive, write_zip
from coldpress.bundle.runnable import Bundle
from coldpress.bundle.tree import Tree, TreePlan, build_tree
from coldpress.bundle.verify import Verification, verify
from coldpress.bundle.verify_door import verify_door
from coldpress.bundle.wheels import Wheel
from coldpress.config import BatchConfig
from coldpress.console import progress
from coldpress.contract import batch_record, door_manifest, limits, manifest, payload_bytes, snapstart
from coldpress.dependencies import packages_of
from coldpress.emulate.process import WEIGHTS
from coldpress.errors import FitError
from coldpress.fallback.decide import Decision
from coldpress.fallback.record import fallback_record
from coldpress.fallback.step import decide_for, fallback_notes, served_model
from coldpress.fit.sizes import measure_sizes
from coldpress.fit.verdict import Fit, check_fit
from coldpress.forms.choose import GROWTH_BYTES, Choice, choose_form
from coldpress.interpreters import find_interpreter
from coldpress.model.engine_check import foreign_locales
from coldpress.model.files import model_bytes
from coldpress.packed import Packed
from coldpress.plan import Plan
from coldpress.publish import publish
from coldpress.reference import Reference
from coldpress.report.assemble import assemble
from coldpress.samples.sample_set import SampleSet
from coldpress.samples.warmup import warmup_record
from coldpress.search.shrink_file import ShrunkFile, shrink_file
from coldpress.weights import place_beside
from coldpress_runtime.manifest import Manifest

__all__ = ["execute"]


def execute(plan: Plan) -> Packed:
    """Carry out ``plan``; the output folder is replaced at the very end, and only by a bundle that fits.

    Raises:
        PackError: of the class that says at which step it stopped.
    """
    with tempfile.TemporaryDirectory(prefix="coldpress-") as scratch:
        packed = _build(plan, Path(scratch))
        if packed.archive:
            with progress(f"write {plan.out}"):
                publish(
                    packed.plan,
                    packed.archive.path,
                    packed.to_json(),
                    packed.report,
                    tokenizer=packed.tokenizer,
                    batch=packed.batch.path if packed.batch else None,
                    weights=packed.weights,
                    served=packed.served,
                )
    return packed


def _build(plan: Plan, work: Path) -> Packed:
    """Make everything in ``work``: nothing outside it is written but caches."""
    if plan.fallback is not None and plan.fallback.remote:
        return _build_remote(plan, Reference(plan.large), Decision(plan.fallback.when), work)
    found = shrink_file(plan.shrink, plan.model, plan.python, work, bundled=True)
    yardstick = found.inputs.reference if found.shrunk.exact else Reference(found.shrunk.path)
    batch = None if plan.separate else plan.batch
    packages = packages_of(plan, batch)
    choice = _choose_form(plan, found, yardstick, work / "forms")
    weights = None
    if plan.weights:
        weights = place_beside(choice, work / WEIGHTS)
        plan = dataclasses.replace(plan, values=dataclasses.replace(plan.values, weights=plan.weights + weights.name))
    decision = decide_for(plan.fallback, plan, found) if plan.fallback else None
    tree_plan = _tree_plan(plan, found, packages, choice, batch, decision)
    bundle = _bundle(plan, tree_plan, yardstick, found.inputs.samples, work)
    if bundle.archive is None and plan.fallback is not None and not plan.fallback.when:
        over = " ".join(bundle.fit.advice) or "the function is over a limit of the provider."
        decision = decide_for(plan.fallback, plan, found, over)
        remote = _build_remote(plan, found.inputs.reference, decision, work / "door")
        return dataclasses.replace(remote, served=served_model(plan, found))
    beside = _batch_bundle(plan, tree_plan, yardstick, found.inputs.samples, work) if bundle.archive else None
    notes = (*_notes(found, choice, bundle.tree), *fallback_notes(plan, decision))
    steps = bundle.verification.steps if bundle.verification else None
    report = assemble(plan.name, plan.model, plan.shrink, found.shrunk, fit=bundle.fit, steps=steps, notes=notes)
    report["fallback"] = decision.to_json() if decision else None
    return Packed(
        plan,
        bundle.archive,
        bundle.fit,
        found.shrunk,
        choice,
        bundle.verification,
        bundle.tree,
        notes,
        report,
        found.inputs.tokenizer,
        beside,
        weights,
        weights.stat().st_size if weights else 0,
        decision,
        served_model(plan, found),
    )


def _build_remote(plan: Plan, reference: Reference, decision: Decision, work: Path) -> Packed:
    """Make a function without a model and without an engine: the door alone, and hooks if there are any."""
    work.mkdir(exist_ok=True)
    fallback = plan.fallback
    assert fallback is not None  # noqa: S101 - or there were no door
    record = fallback_record(fallback, decision.when, decision.output, reference.signature, payload_bytes(plan))
    tree_plan = TreePlan(
        target=plan.target,
        python=plan.python,
        manifest=door_manifest(plan, record),
        engine=None,
        files={},
        hooks=plan.hooks,
        packages=packages_of(plan, None),
        interpreter=find_interpreter(plan.python),
    )
    with progress("build the bundle, which has no model"):
        tree = build_tree(tree_plan, work / "function")
        archive = write_zip(tree.folder, work / "function.zip")
    fit = _fit(plan, archive.path, 0)
    if fit.verdict == "fits":
        with progress("start the zip in an empty environment"):
            bundle = Bundle(tree_plan, tree, archive)
            bundle.import_packages()
            verify_door(bundle, reference.signature)
            tree, archive = bundle.tree, bundle.archive
    notes = ("The model is at the endpoint alone.", *fallback_notes(plan, decision))
    kept = archive if fit.verdict == "fits" else None
    return Packed(plan, kept, fit, None, None, None, tree, notes, None, decision=decision)


def _choose_form(plan: Plan, found: ShrunkFile, yardstick: Reference, work: Path) -> Choice:
    """Measure in which form the model starts soonest; one that alone is over the limit is not worth the time."""
    shrunk = found.shrunk
    limit = limits(plan).get("unzipped_bytes")
    hopeless = limit is not None and not plan.weights and model_bytes(shrunk.path) > limit.limit
    with progress("measure in which form the model starts soonest"):
        choice = choose_form(
            shrunk.path,
            yardstick,
            found.inputs.samples,
            engine=found.engine,
            architecture=plan.architecture,
            threads=plan.threads,
            work=work,
            wanted=plan.form or ("onnx" if hopeless else None),
            growth_bytes=GROWTH_BYTES if shrunk.exact else 0,
            in_place_mb=plan.memory_mb if plan.weights else None,
        )
    if hopeless and plan.form is None:
        choice = dataclasses.replace(choice, note="The model alone is over the limit: no other form was tried.")
    return choice


def _tree_plan(
    plan: Plan,
    found: ShrunkFile,
    packages: tuple[Wheel, ...],
    choice: Choice,
    batch: BatchConfig | None,
    decision: Decision | None,
) -> TreePlan:
    warmup, warmup_files = warmup_record(found.inputs.reference, found.inputs.samples)
    fallback = None
    if plan.fallback is not None and decision is not None:
        signature = found.inputs.reference.signature
        output = decision.output or plan.fallback.output or None
        fallback = fallback_record(plan.fallback, decision.when, output, signature, payload_bytes(plan))
    return TreePlan(
        target=plan.target,
        python=plan.python,
        manifest=manifest(plan, found.engine, choice, warmup, batch, fallback),
        engine=found.engine,
        files=warmup_files if plan.weights else {**choice.files, **warmup_files},
        hooks=plan.hooks,
        packages=packages,
        interpreter=find_interpreter(plan.python),
    )


class _Bundle(NamedTuple):
    tree: Tree
    fit: Fit
    archive: Archive | None = None
    verification: Verification | None = None


def _bundle(plan: Plan, tree_plan: TreePlan, yardstick: Reference, samples: SampleSet, work: Path) -> _Bundle:
    """Build the folder and, if it fits, zip it and start the zip; what does not fit is not compressed first."""
    with progress("build the bundle"):
        tree = build_tree(tree_plan, work / "function")
    weights = tree_plan.manifest["weights"]
    weights_bytes = weights["bytes"] if weights else 0
    fit = _fit(plan, tree.folder, weights_bytes)
    if fit.verdict != "fits":
        return _Bundle(tree, fit)
    with progress("zip it"):
        archive = write_zip(tree.folder, work / "function.zip")
    fit = _fit(plan, archive.path, weights_bytes)
    if fit.verdict != "fits":
        return _Bundle(tree, fit)
    with progress("start the zip in an empty environment and compare its answers"):
        verified = verify(tree_plan, tree, archive, yardstick, samples)
    return _Bundle(
        verified.tree, _fit(plan, verified.archive.path, weights_bytes), verified.archive, verified.verification
    )


def _batch_bundle(
    plan: Plan, answering: TreePlan, yardstick: Reference, samples: SampleSet, work: Path
) -> Archive | None:
    """Build the function that scores uploads, where it is one of its own: the other one, and what rows need.

    Raises:
        FitError: with what it brings it is over the provider's limits.
    """
    batch = plan.batch
    if batch is None or not plan.separate:
        return None
    own = dataclasses.replace(plan, memory_mb=batch.memory_mb, timeout_s=batch.timeout_s)
    tree_plan = dataclasses.replace(
        answering,
        manifest=Manifest.parse(
            {
                **answering.manifest,
                "threads": 1,  # a vCPU has a process of its own
                "function": {"memory_mb": batch.memory_mb, "timeout_s": batch.timeout_s},
                "batch": batch_record(batch),
                "fallback": None,  # every row is scored here
            }
        ).to_dict(),
        packages=packages_of(plan, batch),
    )
    place = work / "batch"
    place.mkdir()
    bundle = _bundle(own, tree_plan, yardstick, samples, place)
    if bundle.archive is None:
        raise FitError(
            f"The function that scores uploads does not fit ({bundle.fit.sizes.unzipped_bytes / 1e6:.1f} MB unzipped, "
            "with numpy and orjson): shrink the model further, ask for another format than parquet, or drop [batch]."
        )
    return bundle.archive


def _notes(found: ShrunkFile, choice: Choice, tree: Tree) -> tuple[str, ...]:
    notes = [*found.inputs.samples.assumed, *found.shrunk.notes, choice.note]
    if locales := foreign_locales(found.inputs.model):
        notes.append(
            f"The model needs the locale {', '.join(locales)}, which was there for the verification and which the "
            "function's system may lack: set the attribute `locale` of its StringNormalizer nodes to C.UTF-8."
        )
    if tree.bytecode.interpreter is None:
        notes.append(tree.bytecode.note)
    return tuple(filter(None, notes))


def _fit(plan: Plan, bundle: Path, weights_bytes: int) -> Fit:
    return check_fit(
        plan.target,
        measure_sizes(bundle),
        python=plan.python,
        architecture=plan.architecture,
        memory_mb=plan.memory_mb,
        timeout_s=plan.timeout_s,
        snapstart=snapstart(plan),
        region=getattr(plan.values, "region", ""),
        weights_bytes=weights_bytes,
    )
