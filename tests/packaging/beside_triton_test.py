"""The package of the wheel in one process with PyTorch and Triton, whose LLVM is another: plans,
attention and Triton's kernels are the same, whichever comes first.

beside_triton_test.py DIST_FOLDER, run by the PyTorch of tools/install_torch.sh.
"""

import glob
import hashlib
import os
import subprocess
import sys
import zipfile


def use_flashcp() -> str:
    """Returns a digest of a plan and of its attention."""
    import numpy

    import flashcp

    plan = flashcp.compile([300, 0, 212], ranks=2, heads=(4, 2), head_dim=32, dtype="f32")
    group = flashcp.Group.threads(2)
    x = numpy.random.default_rng(0).standard_normal((plan.tokens, 4, 32), numpy.float32)

    def attend(rank: int) -> numpy.ndarray:
        q, k, v = (flashcp.scatter(t, plan, rank) for t in (x, x[:, :2], x[:, 2:]))
        return flashcp.attention(q, k, v, plan, group, rank)

    rows = flashcp.gather(group.run(attend), plan)
    return hashlib.sha256(plan.to_bytes() + rows.tobytes()).hexdigest()


def use_triton() -> str:
    """Returns a digest of a kernel that Triton's LLVM compiles for GPUs; no GPU is needed."""
    import torch  # noqa: F401
    import triton
    import triton.language as tl
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    @triton.jit
    def double(x, n, block: tl.constexpr):
        i = tl.program_id(0) * block + tl.arange(0, block)
        tl.store(x + i, 2 * tl.load(x + i, mask=i < n), mask=i < n)

    source = ASTSource(
        double, {"x": "*fp32", "n": "i32", "block": "constexpr"}, constexprs={"block": 128}
    )
    ptx = triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]
    assert "st.global" in ptx, ptx
    return hashlib.sha256(ptx.encode()).hexdigest()


CASES = {
    "flashcp alone": (use_flashcp,),
    "triton alone": (use_triton,),
    "flashcp first": (use_flashcp, use_triton, use_flashcp),
    "triton first": (use_triton, use_flashcp, use_triton),
}


def main() -> None:
    triton = os.path.join(os.path.dirname(os.path.dirname(sys.executable)), "triton")
    if not os.path.exists(os.path.join(triton, "complete")):
        print(f"SKIPPED: no Triton in {triton}: tools/install_torch.sh")
        return
    (wheel,) = glob.glob(os.path.join(sys.argv[1], "flashcp-*.whl"))
    folder = os.path.join(os.environ["TEST_TMPDIR"], "wheel")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    printed = {case: run(case, [folder, triton]) for case in CASES}
    flashcp, triton_kernel = printed["flashcp alone"][0], printed["triton alone"][0]
    assert printed["flashcp first"] == [flashcp, triton_kernel, flashcp], printed
    assert printed["triton first"] == [triton_kernel, flashcp, triton_kernel], printed
    print("the same plan, attention and kernel in all cases")


def run(case: str, path: list) -> list:
    """Returns the digests of a case, from a process of its own that compiles all anew."""
    cache = os.path.join(os.environ["TEST_TMPDIR"], case)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path), "TRITON_CACHE_DIR": cache}
    del environment["FLASHCP_LIBRARY_DIR"]  # the wheel has its own
    result = subprocess.run(
        [sys.executable, __file__, "--case", case], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, f"{case}: {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout.split()


if __name__ == "__main__":
    if sys.argv[1] == "--case":
        for use in CASES[sys.argv[2]]:
            print(use())
    else:
        main()
