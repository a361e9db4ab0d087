# SPDX-License-Identifier: Apache-2.0
"""A file system that fails when it is told to: FUSE over a folder. Run as a program it is the file system:

    faulty.py FOLDER MOUNT FAULTS

FAULTS is a file with a JSON list of {"call", "error", "below"}: `call` is write, fsync or create, `error` a name of errno,
`below` what the path must contain. No file: no faults."""
import errno
import json
import os
import pathlib
import subprocess
import sys
import time


class Disk:
    """Mounted until close(); `path` is where."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.path = self.folder / "disk"
        self.faults = self.folder / "faults"
        below = self.folder / "below"
        for made in (self.path, below):
            made.mkdir(parents=True)
        self.process = subprocess.Popen(["/usr/bin/python3", __file__, below, self.path, self.faults])
        deadline = time.monotonic() + 10
        while not os.path.ismount(self.path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("FUSE does not mount (the kernel needs CONFIG_FUSE_FS)")
            time.sleep(0.02)

    def fail(self, call, error="EIO", below=""):
        known = json.loads(self.faults.read_text()) if self.faults.exists() else []
        new = self.folder / "faults.new"
        new.write_text(json.dumps([*known, {"call": call, "error": error, "below": below}]))
        new.rename(self.faults)

    def heal(self):
        self.faults.unlink()

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=True)
        self.process.terminate()
        self.process.wait(10)


def main(folder, mount, faults):
    import fusepy

    class Faulty(fusepy.Operations):
        """Paths come as "/…" below the mount."""

        def below(self, path):
            return folder + path

        def fail(self, call, path):
            try:
                with open(faults) as f:
                    known = json.load(f)
            except FileNotFoundError:
                return
            for fault in known:
                if fault["call"] == call and fault["below"] in path:
                    raise fusepy.FuseOSError(getattr(errno, fault["error"]))

        def getattr(self, path, fh=None):
            found = os.lstat(self.below(path))
            names = ("st_atime", "st_ctime", "st_gid", "st_mode", "st_mtime", "st_nlink", "st_size", "st_uid")
            return {name: getattr(found, name) for name in names}

        def readdir(self, path, fh):
            return [".", "..", *os.listdir(self.below(path))]

        def statfs(self, path):
            found = os.statvfs(self.below(path))
            return {name: getattr(found, name) for name in dir(found) if name.startswith("f_") and name != "f_fsid"}

        def mkdir(self, path, mode):
            os.mkdir(self.below(path), mode)

        def unlink(self, path):
            os.unlink(self.below(path))

        def rename(self, old, new):
            os.rename(self.below(old), self.below(new))

        def chmod(self, path, mode):
            os.chmod(self.below(path), mode)

        def chown(self, path, uid, gid):
            os.chown(self.below(path), uid, gid)

        def utimens(self, path, times=None):
            os.utime(self.below(path), times)

        def truncate(self, path, length, fh=None):
            os.truncate(self.below(path), length)

        def create(self, path, mode, fi=None):
            self.fail("create", path)
            return os.open(self.below(path), os.O_RDWR | os.O_CREAT, mode)

        def open(self, path, flags):
            return os.open(self.below(path), os.O_RDWR)

        def read(self, path, size, offset, fh):
            return os.pread(fh, size, offset)

        def write(self, path, data, offset, fh):
            self.fail("write", path)
            return os.pwrite(fh, data, offset)

        def fsync(self, path, datasync, fh):
            self.fail("fsync", path)

        def release(self, path, fh):
            os.close(fh)

    fusepy.FUSE(Faulty(), mount, foreground=True, nothreads=True, allow_other=True, default_permissions=True, hard_remove=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
