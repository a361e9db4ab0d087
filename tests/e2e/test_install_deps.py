# SPDX-License-Identifier: Apache-2.0
"""What installing the packages that the build, the demo and the tests need does to the host."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Stands in for apt-get: what it was told to install, and whether services could have been started meanwhile.
APT_GET = """#!/bin/sh
[ "$1" = install ] || exit 0
echo "$@" >"$TOLD/installed"
/usr/sbin/policy-rc.d nginx start
echo $? >"$TOLD/policy"
exit "$APT_STATUS"
"""


def install_deps(tmp_path, *options, admins_policy=None, apt_status=0):
    """Runs scripts/install-deps where no package is installed, /usr/sbin is its own, and apt-get is ours."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {"apt-get": APT_GET, "dpkg-query": "#!/bin/sh\n", "npm": "#!/bin/sh\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    policy = "" if admins_policy is None else f"printf '{admins_policy}' >/usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d; "
    script = (f"mount -t tmpfs none /usr/sbin; {policy}{ROOT}/scripts/install-deps \"$@\"; status=$?; "
              "cp /usr/sbin/policy-rc.d $TOLD/left 2>/dev/null; exit $status")
    done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "TOLD": tmp_path, "APT_STATUS": str(apt_status)})
    told = {name: (tmp_path / name).read_text().strip() for name in ("installed", "policy", "left") if (tmp_path / name).exists()}
    return done, told


def test_installing_starts_no_service(tmp_path):
    done, told = install_deps(tmp_path, "--for-demo")
    assert done.returncode == 0, done.stdout
    assert told["policy"] == "101"
    assert "left" not in told


def test_a_failed_installation_leaves_no_ban_of_services(tmp_path):
    done, told = install_deps(tmp_path, "--for-demo", apt_status=100)
    assert done.returncode == 100, done.stdout
    assert told["policy"] == "101"
    assert "left" not in told


def test_what_the_admin_lets_start_is_kept(tmp_path):
    done, told = install_deps(tmp_path, "--for-demo", admins_policy="#!/bin/sh\\nexit 104\\n")
    assert done.returncode == 0, done.stdout
    assert told == {"installed": told["installed"], "policy": "104", "left": "#!/bin/sh\nexit 104"}


def test_the_demo_needs_none_of_the_tests_packages(tmp_path):
    told = install_deps(tmp_path, "--for-demo")[1]["installed"].split()
    assert {"gcc", "postgresql"} < set(told)
    assert not {"nginx-light", "haproxy", "golang-go", "nodejs", "openssh-server", "python3-pytest"} & set(told)


def test_install_deps_refuses_what_it_does_not_know(tmp_path):
    done, told = install_deps(tmp_path, "--for-nothing")
    assert (done.returncode, told) == (2, {})
    assert "usage: install-deps" in done.stdout
