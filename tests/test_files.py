"""What stands at a path is kept: links, modes, owners, pipes, devices; and one run has one file."""

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from autograd_bp import Value, draw, steps
from autograd_bp.files import alone, write_whole
from nn import MLP, save
from nn.cli import main

posix = pytest.mark.skipif(os.name == "nt", reason="Windows has other files")
as_root = pytest.mark.skipif(os.name == "nt" or os.getuid() != 0, reason="only root may")


def product():
    x, y = Value(2.0, "x"), Value(3.0, "y")
    z = x * y
    z.backward()
    return z


def to_c(path):
    pytest.importorskip("numpy")
    from autograd_bp import trace

    trace(lambda x: x * 2.0, 1.0).to_c(path, "model")


def to_onnx(path):
    pytest.importorskip("onnx")
    from nn.export import to_onnx

    to_onnx(MLP(2, [1], seed=0), path)


def saved(path):
    pytest.importorskip("safetensors")
    save(path, MLP(2, [1], seed=0))


def picture(path):
    pytest.importorskip("pygraphviz")
    draw(product()).render(outfile=path, cleanup=True)


WRITERS = {
    ".safetensors": saved,
    ".html": lambda path: steps(product()).write(path),
    ".htm": lambda path: main(["steps", "x*y", "x=2", "y=3", "-o", str(path)]),
    ".svg": picture,
    ".c": to_c,
    ".onnx": to_onnx,
    ".bin": lambda path: write_whole(path, b"new"),
}
"""All that writes files, by the suffix that it asks for."""

each_writer = pytest.mark.parametrize(("suffix", "write"), WRITERS.items(), ids=WRITERS)


@posix
@each_writer
def test_links_lead_to_the_file_that_is_meant(tmp_path, suffix, write):
    (tmp_path / "far").mkdir()
    file, first, link = (tmp_path / name for name in ("far/file", "first", f"link{suffix}"))
    file.write_bytes(b"old")
    first.symlink_to("far/file")
    link.symlink_to(first)
    write(link)
    assert link.is_symlink()
    assert first.is_symlink()
    assert file.stat().st_size > 0
    assert file.read_bytes() != b"old"
    file.unlink()
    write(link)  # which leads to nothing now
    assert link.is_symlink()
    assert file.is_file()
    assert [p.name for p in (tmp_path / "far").iterdir()] == ["file"]


@posix
@each_writer
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o666])
def test_a_file_keeps_its_mode(tmp_path, suffix, write, mode):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(b"old")
    path.chmod(mode)
    write(path)
    assert path.read_bytes() != b"old"
    assert stat.S_IMODE(path.stat().st_mode) == mode


@as_root
def test_a_file_keeps_its_owner(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, 4242, 4343)
    path.chmod(0o640)
    write_whole(path, b"new")
    status = path.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (4242, 4343, 0o640)


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_of_any_new_file(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "new" / "file", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / "file").stat().st_mode) == 0o666 & ~umask


@posix
def test_what_is_secret_is_never_readable_by_others(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o600)
    modes = []
    sync = os.fsync

    def look(file):
        modes.append(stat.S_IMODE(os.fstat(file).st_mode))
        sync(file)

    monkeypatch.setattr(os, "fsync", look)
    write_whole(path, b"new")
    assert modes == [0o600]


@posix
@each_writer
def test_a_pipe_is_written_to(tmp_path, suffix, write):
    path = tmp_path / f"pipe{suffix}"
    os.mkfifo(path)
    read = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    write(path)
    reader.join()
    assert len(read[0]) >= 3
    assert path.is_fifo()


@as_root
@each_writer
@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_device_is_written_to(tmp_path, suffix, write, through_a_link):
    """A node of our own for the device that takes everything, never the machine's."""
    device = path = tmp_path / f"null{suffix}"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        device.write_bytes(b"x")
    except OSError:
        pytest.skip("devices may not be made here")
    if through_a_link:
        path = tmp_path / f"link{suffix}"
        path.symlink_to(device)
    write(path)
    assert device.is_char_device()
    assert path.is_symlink() == through_a_link


@posix
def test_an_open_file_without_a_name_is_written_to(tmp_path):
    if not Path("/proc/self/fd").exists():
        pytest.skip("no names of open files")
    with (tmp_path / "file").open("w+b") as file:
        (tmp_path / "file").unlink()
        write_whole(f"/proc/self/fd/{file.fileno()}", b"new")
        assert file.read() == b"new"
    assert list(tmp_path.iterdir()) == []


NAMES = ["a" * 255, "é" * 127, "\U0001f600" * 63, os.fsdecode(b"\xff" * 255), "-rf", "\n"]


@posix
@pytest.mark.parametrize("name", NAMES)
def test_names_up_to_the_systems_limit(tmp_path, name):
    path = tmp_path / name
    for content in (b"one", b"two"):
        write_whole(path, content)
        with alone(path) as draft:
            write_whole(path, content, draft=draft)
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@posix
@pytest.mark.parametrize(
    ("name", "error"),
    [("a" * 256, OSError), ("folder", IsADirectoryError), ("", FileNotFoundError),
     ("to a folder", IsADirectoryError), ("loop", OSError), ("file/x", NotADirectoryError),
     ("\0", ValueError)],
)  # fmt: skip
def test_what_cannot_be_written_says_so_and_leaves_nothing(tmp_path, monkeypatch, name, error):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").write_bytes(b"old")
    Path("loop").symlink_to("loop")
    Path("to a folder").symlink_to("folder")
    before = sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(error):
        write_whole(name, b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert list(Path("folder").iterdir()) == []


@posix
def test_what_may_not_be_written_is_not(tmp_path):
    """Asked as another user, since root may write everything."""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    kept, folder = tmp_path / "kept", tmp_path / "folder"
    kept.write_bytes(b"old")
    kept.chmod(0o444)
    folder.mkdir(mode=0o555)
    code = textwrap.dedent(
        """
        import os, runpy, sys
        write_whole = runpy.run_path(sys.argv[1])["write_whole"]
        if os.getuid() == 0:
            os.setgroups([]), os.setgid(65534), os.setuid(65534)
        for path in sys.argv[2:]:
            try:
                write_whole(path, b"new")
            except PermissionError as error:
                print(error.errno, error.filename)
        """
    )
    source = sys.modules[write_whole.__module__].__file__
    text = Path(source).read_text("utf-8")
    (tmp_path / "files.py").write_text(text, "utf-8")
    (tmp_path / "files.py").chmod(0o644)
    said = subprocess.run(
        [sys._base_executable, "-I", "-c", code, tmp_path / "files.py", kept, folder / "new"],
        capture_output=True, text=True, check=True, cwd="/",
    ).stdout.splitlines()  # fmt: skip
    assert [line.split()[0] for line in said] == [str(errno.EACCES)] * 2
    assert str(kept) in said[0]
    assert kept.read_bytes() == b"old"
    assert list(folder.iterdir()) == []


@posix
def test_other_hard_links_keep_the_old_content(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    write_whole(tmp_path / "a", b"new")
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"new", b"old")


@pytest.mark.parametrize("call", ["fsync", "replace", "open"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path, monkeypatch, call, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*args, **options):
        if call == "open":  # the file is made, and then comes Ctrl-C
            os.close(opened(*args, **options))
        raise error

    opened = os.open
    with monkeypatch.context() as patch:
        patch.setattr(Path if call == "replace" else os, call, fail)
        with pytest.raises(type(error)):
            write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_many_at_once_write_one_of_theirs(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([65 + i]) * 100_000 for i in range(8)]
    failed = []

    def write(content):
        try:
            for _ in range(5):
                write_whole(path, content)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


# --- one at a time --------------------------------------------------------------------------------


def test_one_at_a_time(tmp_path):
    path = tmp_path / "run"
    for _ in range(3):
        with alone(path), pytest.raises(BlockingIOError, match=r"another run .*run"):
            alone(path).__enter__()
    with alone(tmp_path / "other"), alone(path):
        pass
    assert list(tmp_path.iterdir()) == []


@posix
def test_a_link_to_the_file_is_the_file(tmp_path):
    (tmp_path / "link").symlink_to("run")
    with alone(tmp_path / "run"), pytest.raises(BlockingIOError, match="link"):
        alone(tmp_path / "link").__enter__()


@posix
def test_a_process_that_was_killed_holds_nothing(tmp_path):
    code = (
        "from autograd_bp.files import alone\n"
        "with alone('run') as draft:\n    draft.write_bytes(b'half')\n"
        "    print('in', flush=True)\n    input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == "in\n"
    with pytest.raises(BlockingIOError):
        alone(tmp_path / "run").__enter__()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(list(tmp_path.iterdir())) == 2, "what it left"
    with alone(tmp_path / "run"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_never_two_within(tmp_path):
    """The file that is held is cleared away and made anew all the time."""
    inside, most, entered = [0], [0], [0]
    count = threading.Lock()

    def enter():
        for _ in range(200):
            try:
                with alone(tmp_path / "run"):
                    with count:
                        inside[0] += 1
                        most[0] = max(most[0], inside[0])
                        entered[0] += 1
                    with count:
                        inside[0] -= 1
            except BlockingIOError:
                pass

    threads = [threading.Thread(target=enter) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert entered[0] > 1
    assert list(tmp_path.iterdir()) == []
