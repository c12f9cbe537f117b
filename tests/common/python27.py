"""A virtual environment of CPython 2.7, for foreign programs that have never left it."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

# The last self-contained virtualenv for Python 2.7: it carries pip and setuptools.
VIRTUALENV = "virtualenv==16.7.12"


class CannotInstall(Exception):
    """What was to be installed was not."""


def find():
    """The path of a CPython 2.7, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates = ["python2.7", "python2", *sorted(map(str, pyenv.glob("versions/2.7*/bin/python2.7")))]
    if "PYTHON27" in os.environ:
        candidates = [os.environ["PYTHON27"]]
    probe = "import sys, ssl, zlib, ctypes; sys.stdout.write(sys.executable * (sys.version_info[:2] == (2, 7)))"
    for candidate in candidates:
        with contextlib.suppress(OSError):
            found = subprocess.run([candidate, "-c", probe], capture_output=True, text=True)
            if found.returncode == 0 and found.stdout:
                return found.stdout
    return None


def install(place, pins, title, proof):
    """Makes the environment in `place`, unless these very pins are installed.

    `pins` is a complete list, installed with --no-deps. `proof` is a command in the
    environment that must succeed, its first word a program there. Without a CPython 2.7
    the status 77 ends the program.
    """
    recipe = hashlib.sha256(pins.read_bytes() + VIRTUALENV.encode()).hexdigest()
    stamp = place / "installed"
    if stamp.exists() and stamp.read_text() == recipe:
        return
    python = find()
    if python is None:
        print("no Python 2.7: set PYTHON27 to one with ssl, zlib and ctypes")
        raise SystemExit(77)

    print(f"installing {title} with {python}", flush=True)
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(exist_ok=True)
    env = dict(
        os.environ,
        PYTHONWARNINGS="ignore",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_CACHE_DIR=str(place.parent / "cache" / "pip"),
    )
    with tempfile.TemporaryDirectory(dir=place.parent) as boot:
        persist([python, "-m", "pip", "install", "-q", "--no-deps", "--target", boot, VIRTUALENV], env)
        make = [python, "-m", "virtualenv", "-q", "--no-download", str(place)]
        subprocess.run(make, check=True, env=dict(env, PYTHONPATH=boot))
    pip = [str(place / "bin" / "python"), "-m", "pip"]
    persist(pip + ["install", "-q", "--no-deps", "-r", str(pins)], env)
    subprocess.run(pip + ["check"], check=True, env=env)
    subprocess.run([str(place / "bin" / proof[0]), *proof[1:]], check=True, env=env)
    stamp.write_text(recipe)


def persist(command, env):
    """Runs a command that uses the network; tries again twice."""
    for pause in (3, 10, None):
        if subprocess.run(command, env=env).returncode == 0:
            return
        if pause is None:
            raise CannotInstall("could not install: " + " ".join(command))
        time.sleep(pause)


if __name__ == "__main__":
    import sys

    if len(sys.argv) < 5:
        sys.exit("usage: python27.py PLACE PINS TITLE PROGRAM [ARGUMENT...]")
    try:
        install(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
    except (CannotInstall, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
