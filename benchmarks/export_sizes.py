"""Size, error, latency, and memory of exports of networks at their published sizes, with random weights.

    python benchmarks/export_sizes.py --data='yt8m/validate*.tfrecord' [--models=HierarchicalLstmModel] [--formats=onnx]

Each export runs in its own process, so that its memory can be measured: the peak of the process, with TensorFlow and the
check in the runtime.
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile

from absl import app, flags

import family_costs
import youtube8m_distill as yt8m

DATA = flags.DEFINE_string("data", None, "Globs of frame-level files, to compare on and to calibrate with.", required=True)
MODELS = flags.DEFINE_list("models", ["HierarchicalLstmModel", "NeXtVLADModel", "NetVLADModelLF"], "Families to export.")
QUANTIZED = ("float16", "dynamic_int8", "full_int8")
FORMATS = flags.DEFINE_list(
    "formats", ["saved_model", "litert", *QUANTIZED, "onnx", "openvino"], "Formats, and quantizations of litert."
)
FRAMES = flags.DEFINE_integer("frames", 10, "Frames that the networks read.", 1, 300)
VIDEOS = flags.DEFINE_integer("videos", 64, "Videos to compare on, besides copies of other lengths.", 1)
ALONE = flags.DEFINE_string("alone", None, "Export the network in this folder here, and print JSON.")


def main(_):
    if ALONE.value:
        print(json.dumps(measure(ALONE.value, *FORMATS.value)))
        return
    print("| network | format | size | largest difference | one video | memory |")
    print("|---" * 6 + "|")
    for model in MODELS.value:
        with tempfile.TemporaryDirectory() as folder:
            config = family_costs.published(model, FRAMES.value)
            yt8m.save_to_preset(yt8m.build_model(config), f"{folder}/network", config)
            for name in FORMATS.value:
                print(f"| {model} | {name} | {row(folder, name)} |", flush=True)


def row(folder, name):
    """The other cells of a line of the table, measured in a separate process."""
    arguments = [f"--alone={folder}/network", f"--formats={name}", f"--data={DATA.value}", f"--videos={VIDEOS.value}"]
    ran = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=False)
    if ran.returncode:
        return f"failed with exit code {ran.returncode}: {(ran.stderr.strip().splitlines() or ['no message'])[-1]}"
    found = json.loads(ran.stdout.splitlines()[-1])
    return (
        f"{found['size_bytes'] / 1e6:,.0f} MB | {found['largest_difference']:.2g} | {found['latency_ms']:.0f} ms | "
        f"{found['memory']:.1f} GB"
    )


def measure(network, name):
    quantized = name in QUANTIZED
    settings = {"format": "litert", "quantization": name} if quantized else {"format": name}
    config, shards = yt8m.ExportConfig.model_validate({**settings, "tolerance": 1.0}), yt8m.find_files(DATA.value)
    run, output = yt8m.open_run(network), pathlib.Path(network).with_name(name)
    calibration = shards if name == "full_int8" else ()
    found = yt8m.export_network(
        run, output, config, verify_shards=shards, calibration_shards=calibration, verify_videos=VIDEOS.value
    )
    return {**found.to_dict(), "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}


if __name__ == "__main__":
    app.run(main)
