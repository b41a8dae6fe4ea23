"""What is said where a GPU, its driver or the packages for it are missing, or fail."""

import importlib
import os
from types import SimpleNamespace

import numpy as np
import pytest

from fastnn.kernels.cuda import driver, packages
from fastnn.kernels.cuda.memory import DeviceMemory


class Code(int):
    """An error of the driver's, by its name."""

    def __new__(cls, number, name):
        self = super().__new__(cls, number)
        self.name = name
        return self


SUCCESS, OUT_OF_MEMORY = Code(0, "CUDA_SUCCESS"), Code(2, "CUDA_ERROR_OUT_OF_MEMORY")
LOST, NO_DEVICE = Code(719, "CUDA_ERROR_LAUNCH_FAILED"), Code(100, "CUDA_ERROR_NO_DEVICE")


class FakeDriver:
    """The driver of one GPU; functions in ``failing`` return what is there."""

    def __init__(self, cc=(9, 0), failing=None):
        self.cc, self.failing, self.calls = cc, failing or {}, []
        # The pinned memory is the host's.
        self.stage = np.zeros(driver.STAGE_BYTES, np.uint8)
        names = (
            "COMPUTE_CAPABILITY_MAJOR",
            "COMPUTE_CAPABILITY_MINOR",
            "MULTIPROCESSOR_COUNT",
            "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
        )
        attributes = {f"CU_DEVICE_ATTRIBUTE_{name}": name for name in names}
        self.CUdevice_attribute = SimpleNamespace(**attributes)
        self.values = dict(zip(names, (*cc, 132, 200 << 10), strict=True))
        which = "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES"
        self.CUfunction_attribute = SimpleNamespace(**{which: which})

    def __getattr__(self, name):
        if not name.startswith("cu"):
            raise AttributeError(name)

        def call(*arguments):
            self.calls.append((name, arguments))
            if name in self.failing:
                return (self.failing[name],)
            return (SUCCESS, *self.returned(name, arguments))

        return call

    def returned(self, name, arguments):
        if name == "cuDeviceGetAttribute":
            return (self.values[arguments[0]],)
        if name == "cuMemGetInfo":
            return 3 * 10**9, 8 * 10**9
        answers = {
            "cuDeviceGetName": (b"A GPU\0\0",),
            "cuGetErrorString": (b"something failed",),
            "cuMemHostAlloc": (self.stage.ctypes.data,),
        }
        return answers.get(name, (1,))


@pytest.fixture
def fake(monkeypatch):
    def install(**settings):
        found = FakeDriver(**settings)
        monkeypatch.setattr(packages, "driver", lambda: found)
        return found

    return install


@pytest.fixture
def fresh():
    cached = packages.load, packages.driver
    for one in cached:
        one.cache_clear()
    yield
    for one in cached:
        one.cache_clear()


def without(monkeypatch, *missing):
    """Have imports of these packages fail."""
    plain = importlib.import_module

    def import_module(name, *rest):
        if name.startswith(missing):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return plain(name, *rest)

    monkeypatch.setattr(importlib, "import_module", import_module)


@pytest.mark.parametrize("missing", ["cuda.core", "numba_cuda"])
def test_missing_packages(missing, monkeypatch, fresh):
    without(monkeypatch, missing)
    if missing == "numba_cuda":
        monkeypatch.setitem(__import__("sys").modules, "cuda.core", SimpleNamespace())
    with pytest.raises(RuntimeError, match=f"No module named '{missing}'.*scikit-fastnn.cuda13"):
        packages.load()


def test_missing_driver(monkeypatch, fresh):
    monkeypatch.setattr(packages, "load", lambda: None)
    without(monkeypatch, "cuda.bindings")
    with pytest.raises(RuntimeError, match="needs NVIDIA's driver.*Install it"):
        packages.driver()


def test_driver_without_a_gpu(monkeypatch, fresh):
    monkeypatch.setattr(packages, "load", lambda: None)
    bindings = FakeDriver(failing={"cuInit": NO_DEVICE})
    monkeypatch.setattr(importlib, "import_module", lambda name: bindings)
    with pytest.raises(RuntimeError, match="CUDA_ERROR_NO_DEVICE: something failed.*nvidia-smi"):
        packages.driver()


def test_old_gpu(fake):
    fake(cc=(7, 0))
    with pytest.raises(RuntimeError, match="capability 7.5 or more .*, but A GPU has 7.0"):
        driver.Device()


def test_device(fake):
    fake(cc=(8, 6))
    device = driver.Device()
    assert (device.name, device.cc, device.n_blocks) == ("A GPU", (8, 6), 132)


def test_too_little_memory(fake):
    fake(failing={"cuMemAllocAsync": OUT_OF_MEMORY})
    with pytest.raises(MemoryError, match="3.00 GB are free.*device='cpu'"):
        DeviceMemory.new(driver.Device(), (1000, 1000), np.float64)


def test_lost_device(fake):
    found = fake()
    device = driver.Device()
    found.failing["cuStreamSynchronize"] = LOST
    with pytest.raises(RuntimeError, match="CUDA_ERROR_LAUNCH_FAILED in cuStreamSynchronize"):
        device.wait()


def test_memory_of_a_lost_device_goes_without_a_word(fake, capsys):
    found = fake()
    memory = DeviceMemory.new(driver.Device(), 10, np.float64)
    found.failing["cuMemFreeAsync"] = LOST
    del memory
    assert ("cuMemFreeAsync", (1, 1)) in found.calls
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_forked_process(fake):
    fake()
    device = driver.Device()
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            device.allocate(16)
        except RuntimeError as error:
            os.write(write, str(error).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert "forked" in pipe.read()
    os.wait()


def test_copies_go_by_way_of_pinned_memory(fake):
    found = fake()
    device = driver.Device()
    array = np.arange(driver.STAGE_BYTES // 4 + 10, dtype=np.float32)
    memory = DeviceMemory(array.shape, array.dtype, 1 << 20, None)
    device.write(memory, array)
    copies = [arguments for name, arguments in found.calls if name == "cuMemcpyHtoDAsync"]
    stage_at = found.stage.ctypes.data
    assert [copy[:3] for copy in copies] == [
        (1 << 20, stage_at, driver.STAGE_BYTES),
        ((1 << 20) + driver.STAGE_BYTES, stage_at, 40),
    ]
    np.testing.assert_array_equal(found.stage[:40].view(np.float32), array[-10:])
    found.stage[:40] = 0
    small = np.ones(10, np.float32)
    device.read(small, DeviceMemory(small.shape, small.dtype, 1 << 20, None))
    np.testing.assert_array_equal(small, 0)


def test_launches(fake):
    found = fake()
    device = driver.Device()
    kernel = SimpleNamespace(function="kernel", n_threads=256)
    job = np.arange(16)
    device.launch(kernel, job, 7, 1024, meets=True)
    device.launch(kernel, job, 8, 100_000, meets=False)
    launches = [call for call in found.calls if call[0].endswith("Kernel")]
    (one, of_meeting), (other, of_group) = launches
    assert (one, other) == ("cuLaunchCooperativeKernel", "cuLaunchKernel")
    assert of_meeting[:8] == ("kernel", 7, 1, 1, 256, 1, 1, 1024)
    assert of_group[:8] == ("kernel", 8, 1, 1, 256, 1, 1, 100_000)
    # More shared memory than kernels have by themselves is asked for.
    told = [arguments[-1] for name, arguments in found.calls if name == "cuFuncSetAttribute"]
    assert told == [100_000]
