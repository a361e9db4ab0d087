# SPDX-License-Identifier: Apache-2.0
"""Certificates for test servers, made with openssl(1)."""
import pathlib
import subprocess


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_authority(folder, name="test CA"):
    folder = pathlib.Path(folder)
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-subj", f"/CN={name}", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
    return folder / "ca.pem"


def make_leaf(folder, name, names=("localhost",), addresses=("127.0.0.1", "::1"), key="ec"):
    """FOLDER/NAME.pem and .key, signed by FOLDER/ca. `key`: ec, rsa, or another that openssl(1) knows."""
    folder = pathlib.Path(folder)
    alternative = ",".join([f"DNS:{n}" for n in names] + [f"IP:{a}" for a in addresses])
    curve = ["-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else []
    _openssl("req", "-newkey", key, *curve, "-nodes", "-subj", f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
    extensions = folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName={alternative}\n")
    _openssl("x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
             "-CAcreateserial", "-days", "2", "-extfile", extensions, "-out", folder / f"{name}.pem")
    return folder / f"{name}.pem", folder / f"{name}.key"
