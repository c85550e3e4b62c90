import subprocess
import sys

import torch


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_torchvision_imports_after_the_declaration_made_twice():
    code = (
        "from benchmark.encoders.torchvision_ops import declare_missing_ops as declare\n"
        "declare(); declare(); declare.__wrapped__()\n"
        "import gc; gc.collect()\n"
        "import torchvision\n"
        "from PIL import Image\n"
        "assert torchvision.transforms.ToTensor()(Image.new('RGB', (4, 4))).shape == (3, 4, 4)"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_it_changes_nothing_after_torchvision_is_imported():
    import torchvision  # noqa: F401  (conftest declared the operators)

    from benchmark.encoders.torchvision_ops import declare_missing_ops

    before = hasattr(torch.ops.torchvision, "nms")
    declare_missing_ops.__wrapped__()
    assert before and hasattr(torch.ops.torchvision, "nms")
