"""Keys and certificates of one stand-in, made by the openssl program: nothing of them outlives a test."""

import base64
import hashlib
import subprocess
from pathlib import Path


def openssl(*arguments, given=None):
    done = subprocess.run(["openssl", *map(str, arguments)], input=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.decode(errors='replace')}")
    return done.stdout


class Certificates:
    """A certificate authority and the server certificate for localhost that it signed."""

    def __init__(self, directory):
        directory = Path(directory)
        self.authority = directory / "ca.pem"
        self.certificate = directory / "server.pem"
        self.key = directory / "server.key"
        authority_key, request, extensions = (directory / name for name in ("ca.key", "server.csr", "server.ext"))
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        openssl("req", "-x509", *curve, "-keyout", authority_key, "-out", self.authority, "-days", 2,
                "-subj", "/CN=stand-in authority", "-addext", "basicConstraints=critical,CA:TRUE")
        openssl("req", *curve, "-keyout", self.key, "-out", request, "-subj", "/CN=localhost")
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", authority_key, "-CAcreateserial",
                "-out", self.certificate, "-days", 2, "-extfile", extensions)


class KeyPair:
    """A user's RSA key: the private half as PKCS#8 PEM, with a passphrase or without one."""

    def __init__(self, directory, name="rsa_key", passphrase=None):
        self.private = Path(directory) / f"{name}.p8"
        self.public = Path(directory) / f"{name}.pub"
        self.passphrase = passphrase
        plain = openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        self.public.write_bytes(openssl("pkey", "-pubout", given=plain))
        if passphrase is not None:
            plain = openssl("pkcs8", "-topk8", "-v2", "aes256", "-passout", f"pass:{passphrase}", given=plain)
        self.private.write_bytes(plain)
        self.private.chmod(0o600)

    def fingerprint(self):
        """As Snowflake shows it in DESCRIBE USER, RSA_PUBLIC_KEY_FP."""
        der = openssl("pkey", "-pubin", "-in", self.public, "-outform", "DER")
        return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()
