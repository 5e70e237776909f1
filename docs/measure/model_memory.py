"""Measure how much memory a model of a billion weights needs, as docs/models.md states it.

Run ``python docs/measure/model_memory.py`` from the project's root, with the ``models``
extra installed. It writes a LLaMA model of random bfloat16 weights (2.2 GB) to a temporary
folder, then in a new process loads it, computes the Hessians of a decoder block, quantizes
four blocks by the sign of their weights, evaluates and saves (4.4 GB), and prints after each
step the largest resident memory so far: all of it, and without the pages of mapped files,
which the system takes back when it needs them.
"""

import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from subbit import reference
from subbit.conformance.models.hf_load import load_transformers
from subbit.conformance.models.needs import require
from subbit.conformance.models.tokenizer import byte_codec
from subbit.conformance.runs.calibrate import block_hessians, embed
from subbit.conformance.runs.evaluate import evaluate
from subbit.conformance.runs.plan import describe_calibration, plan
from subbit.conformance.runs.quantize import quantize_model

SHAPE = {
    "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 8192,
    "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8,
    "max_position_embeddings": 2048, "tie_word_embeddings": False,
}  # fmt: skip
SAMPLES, LENGTH = 4, 512


class Memory:
    """Looks at this process's memory, many times a second, and keeps the largest sizes."""

    def __init__(self) -> None:
        self.most = {"VmRSS": 0, "RssAnon": 0}
        self.started = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            status = Path("/proc/self/status").read_text(encoding="ascii")
            for key, most in self.most.items():
                found = re.search(rf"^{key}:\s+(\d+)", status, re.MULTILINE)
                if found:
                    self.most[key] = max(most, int(found[1]))
            time.sleep(0.02)

    def tell(self, step: str) -> None:
        """Print the largest sizes so far."""
        time.sleep(0.1)
        resident, anonymous = (f"{kib / 1024:,.0f} MiB" for kib in self.most.values())
        seconds = time.monotonic() - self.started
        sys.stdout.write(f"{step}: {resident}, {anonymous} without files, {seconds:.0f} s\n")
        sys.stdout.flush()


def make(folder: Path) -> None:
    """Write the random model, in files of a gigabyte."""
    torch, transformers = (require(x, "model", "models") for x in ("torch", "transformers"))
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model("llama", **SHAPE)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="1GB")
    byte_codec().write(folder)


def run(folder: Path) -> None:
    """Load, calibrate, quantize, evaluate and save."""
    memory = Memory()
    memory.tell("libraries")
    model = load_transformers(str(folder / "model"))
    memory.tell("loaded")
    tokens = np.random.default_rng(0).integers(0, SHAPE["vocab_size"], (SAMPLES, LENGTH))
    evaluate(model, tokens)
    memory.tell("evaluated")
    settings = plan(
        model, "rtn:sign", describe_calibration("random tokens", 0, tokens), blocks=(0, 4)
    )
    block_hessians(model, 0, embed(model, tokens), {x.input_name for x in model.linears(0)})
    memory.tell("Hessians of a decoder block")
    quantize_model(model, reference, settings, tokens)
    memory.tell("quantized")
    model.save(folder / "out")
    memory.tell("saved")


def main() -> None:
    """Make the model and measure, each in a process of its own."""
    if len(sys.argv) == 3:
        {"make": make, "run": run}[sys.argv[1]](Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        for step, folder in (("make", f"{scratch}/model"), ("run", scratch)):
            subprocess.run([sys.executable, __file__, step, folder], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
