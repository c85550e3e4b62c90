"""Make `import torchvision` work beside a CPU-only torch.

PyPI's torchvision wheel is built against CUDA: beside `torch+cpu` its compiled operators cannot be loaded (they link
to libtorch_cuda), and `import torchvision` then dies with "operator torchvision::nms does not exist", because it
attaches shape functions to operators that nobody has declared. Encoders need only torchvision's transforms, which are
plain torch; declaring the missing operators is enough. They stay without a kernel: calling one still raises.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# The operators that torchvision (0.28) registers shape functions for even when its compiled part did not load.
SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
_declared: list[Any] = []  # torch.library withdraws the declarations when the Library object is collected


@cache
def declare_missing_ops() -> None:
    """Declare torchvision's operators if its compiled part cannot be loaded; call before importing torchvision.

    Calling it again, or after a torchvision whose operators load, changes nothing.
    """
    import torch

    found = find_spec("torchvision")
    if found is None or found.origin is None:
        return
    try:
        # Loading comes first: where the compiled part works, declaring its operators a second time would raise.
        torch.ops.load_library(str(next(Path(found.origin).parent.glob("_C*"))))
        return
    except (OSError, ImportError, StopIteration):
        pass
    missing = [schema for name, schema in SCHEMAS.items() if not hasattr(torch.ops.torchvision, name)]
    if missing:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema in missing:
            library.define(schema)
        _declared.append(library)
