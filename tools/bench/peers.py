"""The packages that this one is compared with, each installed by itself.

    python -m tools.bench.peers

installs them into the environment of the Python that runs it, and notes there
why one could not be: the rest is measured without it.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

# What pip is called with for each, after "install".
PEERS = {
    "foolbox": [["foolbox"]],
    # Without what it asks for: opencv-python, a second owner of cv2.
    "imagecorruptions-imaug": [
        ["scikit-image"],
        ["--no-deps", "imagecorruptions-imaug"],
    ],
    # In no index, so by its last commit, of 2024.
    "jaxpruner": [
        [
            "jaxpruner @ git+https://github.com/google-research/jaxpruner"
            "@f133ee50f31a03d0152b8b272edb534065152f5d"
        ]
    ],
    "pyautoattack": [["pyautoattack"]],
    "sparselab": [["sparselab"]],
    "tensorflow-model-optimization": [
        ["tensorflow-model-optimization", "tf-keras"]
    ],
}
REASONS = Path(sys.prefix) / "peers_not_installed.json"
MINUTES = 10


def version(package):
    """The version of an installed package; None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def titled(peer):
    """A package with its version, where it is installed."""
    return " ".join(filter(None, (peer, version(peer))))


def check_installed(peer):
    """Raises `ImportError`, with the reason, where a peer is not installed."""
    if peer not in PEERS or version(peer):
        return
    reasons = json.loads(REASONS.read_text()) if REASONS.exists() else {}
    raise ImportError(
        f"{peer} is not installed: "
        + reasons.get(peer, "run `python -m tools.bench.peers`")
    )


def install(peer):
    """Installs a peer, in the versions of `constraints.txt`.

    Returns:
        None, or why it could not be, a line.
    """
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    for arguments in PEERS[peer]:
        try:
            subprocess.run(
                [*pip, "--constraint", "constraints.txt", *arguments],
                capture_output=True,
                check=True,
                # Git asks nobody for a password.
                env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
                text=True,
                timeout=60 * MINUTES,
            )
        except subprocess.TimeoutExpired:
            return f"pip took more than {MINUTES} minutes"
        except subprocess.CalledProcessError as error:
            return last_complaint(error.stderr)
    return None


def last_complaint(text):
    """The line that says most of what pip prints when it fails."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if line.lower().startswith("fatal:")]
    said += [line for line in lines if line.startswith("ERROR:")]
    return (said or lines or ["pip failed, and said nothing"])[0]


def main():
    """Installs all peers, and prints what became of each."""
    reasons = {}
    for peer in PEERS:
        reason = None if version(peer) else install(peer)
        if reason:
            reasons[peer] = reason
        print(f"{titled(peer)}: {reason or 'installed'}", flush=True)
    REASONS.write_text(json.dumps(reasons, indent=2) + "\n")


if __name__ == "__main__":
    main()
