"""Installs the servers that Haversack is compared with into bench/.peers, from public registries, in pinned versions.

A peer that can't be installed is reported with the reason, never silently left out. Doesn't know how peers are measured.
"""

import os
import shutil
import subprocess
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
PEERS = BENCH / ".peers"
RUSTUS = "0.5.10"


class Missing(Exception):
    """Why a peer can't be installed."""


def rustus():
    program = PEERS / "rustus/bin/rustus"
    if not program.exists():
        _do("cargo", "install", "rustus", "--version", RUSTUS, "--locked", "--root", PEERS / "rustus")
    return [program], RUSTUS


def tus_node():
    folder = PEERS / "tus"
    _refresh("tus", folder)
    if not (folder / "node_modules/@tus/server").exists():
        _do("npm", "ci", "--prefix", folder, "--no-audit", "--no-fund")
    version = (folder / "node_modules/@tus/server/package.json").read_text().split('"version": "')[1].split('"')[0]
    return ["node", folder / "server.mjs"], f"{version}, Node {_first_line('node', '--version').lstrip('v')}"


def django():
    folder = PEERS / "django"
    _refresh("django", folder)
    program = folder / "venv/bin/gunicorn"
    if not program.exists():
        _do("python3", "-m", "venv", folder / "venv")
        _do(folder / "venv/bin/pip", "install", "--quiet", "--requirement", folder / "requirements.txt")
    pinned = dict(line.split("==") for line in (folder / "requirements.txt").read_text().split())
    return [program, "--chdir", folder], f"{pinned['django-fine-uploader']}, Django {pinned['Django']}, gunicorn {pinned['gunicorn']}"


def nginx():
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if not program and os.geteuid() == 0:
        _do("apt-get", "install", "--yes", "--quiet", "nginx-light")
        program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if not program:
        raise Missing("install Debian's nginx-light")
    built = subprocess.run([program, "-V"], capture_output=True, text=True, check=True).stderr
    if "http_dav_module" not in built:
        raise Missing("this nginx was built without PUT (http_dav_module)")
    return [program], built.split("nginx/")[1].split()[0]


def tusd():
    program = shutil.which("tusd")
    if not program:
        raise Missing("no tusd on the path: it is in no registry; take the binary of a release")
    version = next((line for line in _output(program, "-version").splitlines() if "Version" in line), "Version: unknown")
    return [program], version.split()[-1]


def _refresh(name, folder):
    """Copies our files for a peer to its installation; has it reinstalled if its pinned versions have changed."""
    source = BENCH / "peers" / name
    pins = [path.name for path in source.iterdir() if path.name in ("package-lock.json", "requirements.txt")]
    if any(not (folder / pin).exists() or (folder / pin).read_bytes() != (source / pin).read_bytes() for pin in pins):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder, dirs_exist_ok=True)


def _do(*command):
    print("installing:", *command, flush=True)
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    except FileNotFoundError as error:
        raise Missing(f"{command[0]} is not installed") from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise Missing(f"{Path(command[0]).name} failed: {last}")


def _output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _first_line(*command):
    return _output(*command).splitlines()[0]
