"""The door: Hydra composes, pydantic validates, errors become one clear line.

Everything Hydra stays in this module. A command is a function of validated settings.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import hazardrank
from hazardrank.errors import HazardRankError, SettingsError
from hazardrank.reporting.terminal import print_error, print_heading, print_outcomes
from hazardrank.settings import CommandSettings, validate

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

AnyCommand = TypeVar("AnyCommand", bound=CommandSettings)


def config_dir() -> Path:
    """Return the folder of the Hydra configs: package data, or the checkout's `configs`."""
    package = Path(hazardrank.__file__).parent
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parents[1] / "configs"


def run_app(
    command: str, kind: type[AnyCommand], action: Callable[[AnyCommand], int | None]
) -> NoReturn:
    """Compose, validate and run a command, then exit.

    Parameters
    ----------
    command : str
        Name of the primary config in ``configs/``.
    kind : type of CommandSettings
        What the composed tree must validate as.
    action : callable
        Takes the settings; returns an exit status (``None`` is 0).
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"
    _tell_of_crashes()
    statuses: list[int] = []

    def job(config: DictConfig) -> None:
        try:
            statuses.append(action(_settings(config, kind)) or 0)
        except HazardRankError as error:
            # Told here, so that a multirun goes on with its other jobs.
            print_error(error)
            statuses.append(EXIT_BAD_INPUT)

    try:
        sys.argv[1:] = _flags_first(_any_setting(_with_region_file(sys.argv[1:])))
        hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=command)(job)()
    except HazardRankError as error:
        print_error(error)
        sys.exit(EXIT_BAD_INPUT)
    except (HydraException, OmegaConfBaseException) as error:
        print_error(_readable(error, command))
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        print("Interrupted. Files already written are whole.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(max(statuses, default=0))


def run_for_each(
    command: str,
    kind: type[AnyCommand],
    action: Callable[[AnyCommand], int | None],
    grids: Sequence[tuple[str, Path, Sequence[str]]],
) -> NoReturn:
    """Run a command for several region files one after the other, then exit.

    A grid that fails is told of and the others go on. Outputs go to a folder of the grid's
    name inside the output folder.

    Parameters
    ----------
    command, kind, action
        As for :func:`run_app`.
    grids : sequence of (str, Path, sequence of str)
        Name and region file of each grid, and the other words of the command line.
    """
    _tell_of_crashes()
    outcomes: list[tuple[str, int, str]] = []
    try:
        for name, path, rest in grids:
            print_heading(f"{name}: grid {len(outcomes) + 1} of {len(grids)}")
            status, problem = _run_one(command, kind, action, name, [*rest, f"region_file={path}"])
            outcomes.append((name, status, problem))
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on where it stood.", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    finally:
        print_outcomes(outcomes, len(grids))
    sys.exit(max((status for _, status, _ in outcomes), default=0))


def _tell_of_crashes() -> None:
    """Let a crash in compiled code say where it happened."""
    if sys.__stderr__ is not None and not faulthandler.is_enabled():
        faulthandler.enable(sys.__stderr__)


def _run_one(
    command: str,
    kind: type[AnyCommand],
    action: Callable[[AnyCommand], int | None],
    name: str,
    arguments: list[str],
) -> tuple[int, str]:
    """Run a command for one grid; return its exit status and what went wrong."""
    try:
        overrides = _any_setting(_with_region_file(arguments))
        with hydra.initialize_config_dir(str(config_dir()), version_base="1.3"):
            config = hydra.compose(command, overrides=overrides)
            values: Any = OmegaConf.to_container(config, resolve=True)
        if values.get("output_url"):
            values["output_url"] = f"{values['output_url'].rstrip('/')}/{name}"
        else:
            given = any(text.startswith("output_dir=") for text in arguments)
            parent = Path(values["output_dir"])
            values["output_dir"] = str((parent if given else parent.parent) / name)
        return action(validate(kind, values)) or 0, ""
    except HazardRankError as error:
        print_error(error)
        return EXIT_BAD_INPUT, str(error)
    except (HydraException, OmegaConfBaseException) as error:
        readable = _readable(error, command)
        print_error(readable)
        return EXIT_BAD_INPUT, str(readable)


def _settings(config: DictConfig, kind: type[AnyCommand]) -> AnyCommand:
    values: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    hydra_config = HydraConfig.get()
    if hydra_config.mode == RunMode.MULTIRUN:
        values["output_dir"] = str(Path(values["output_dir"]) / str(hydra_config.job.num))
    return validate(kind, values)


def _readable(error: Exception, command: str) -> SettingsError:
    """Say in one line what Hydra said in several."""
    text = str(error).split("Config search path")[0].split("To append to your")[0]
    text = " ".join(line.strip() for line in text.splitlines() if "full_key" not in line).strip()
    unknown = re.fullmatch(r"Could not override '([^']*)'\.?", text)
    if unknown:
        text = f"there is no setting '{unknown[1]}'"
    return SettingsError(
        text, where="command line", remedy=f"See `python -m {command} --help` for what there is"
    )


def _with_region_file(arguments: list[str]) -> list[str]:
    """Turn ``region_file=PATH`` into a region that Hydra composes like any other.

    A region file and a file in ``configs/region`` are one format, so what works in the
    one (defaults, overrides of other groups) works in the other.
    """
    given = [text for text in arguments if text.startswith("region_file=")]
    if not given or given[-1].split("=", 1)[1] in ("", "null"):
        return arguments
    path = Path(given[-1].split("=", 1)[1].strip("'\"")).expanduser()
    if not path.is_file():
        raise SettingsError(
            f"there is no region file at {path.absolute()}",
            where="region_file",
            remedy="Give the path of a YAML file like those in configs/region.",
        )
    folder = Path(tempfile.mkdtemp(prefix="hazardrank-region-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    target = folder / "region" / "from_file" / f"{path.stem}.yaml"
    target.parent.mkdir(parents=True)
    target.write_text(_as_global_package(path), encoding="utf-8")
    return [
        *(text for text in arguments if not text.startswith("region_file=")),
        f"region_file='{path.absolute()}'",
        f"region=from_file/{path.stem}",
        f"hydra.searchpath=[file://{folder}]",
    ]


def _any_setting(arguments: list[str]) -> list[str]:
    """Let ``group.key=value`` set keys that the group's file does not spell out.

    Hydra would ask for ``+``; here pydantic, which knows every key, decides what exists.
    """
    dotted = re.compile(r"(?!hydra\.)[a-z_]+(\.[A-Za-z0-9_]+)+=")
    return [f"++{text}" if dotted.match(text) else text for text in arguments]


def _flags_first(arguments: list[str]) -> list[str]:
    """Let ``-m`` stand anywhere: Hydra's parser wants all overrides in one run."""
    return sorted(arguments, key=lambda text: text not in ("-m", "--multirun"))


def _as_global_package(path: Path) -> str:
    """Return the region file's text with the package header Hydra needs."""
    text = path.read_text(encoding="utf-8")
    if "@package" in text.splitlines()[0] if text else False:
        return text
    has_region = any(line.startswith("region:") for line in text.splitlines())
    return f"# @package {'_global_' if has_region else 'region'}\n{text}"
