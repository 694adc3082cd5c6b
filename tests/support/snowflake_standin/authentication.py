"""Who may call: key-pair JWTs verified with the user's public key, and the tokens they are exchanged for."""

import base64
import binascii
import json
import secrets
import tempfile
import threading
import time

from .certificates import openssl

MOST_JWT_SECONDS = 3600


class Refused(Exception):
    """The caller is told only that the token is invalid; the reason is for whoever reads the stand-in's record."""


def from_base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def seconds(moment):
    """The official SDK 1.9.1 writes milliseconds, everybody else seconds."""
    return moment / 1000 if moment > 10**11 else moment


class Authentication:
    """One user of one account. Thread-safe."""

    def __init__(self, account, user, key_pair, token_seconds=600):
        self.name = f"{account}.{user}".upper()
        self.key_pair = key_pair
        self.issuer = f"{self.name}.{key_pair.fingerprint()}"
        self.token_seconds = token_seconds
        self._lock = threading.Lock()
        self._tokens = {}  # text → when it expires
        self._verified = {}  # JWT → its exp: verification costs a process

    def check_jwt(self, jwt):
        """Raises Refused unless it is signed by the user's key and its claims hold now."""
        now = time.time()
        with self._lock:
            known = self._verified.get(jwt)
        if known is None:
            known = self._verify(jwt, now)
            with self._lock:
                self._verified[jwt] = known
        if known <= now:
            raise Refused("the JWT has expired")

    def _verify(self, jwt, now):
        try:
            signed, _, signature = jwt.rpartition(".")
            header, claims = (json.loads(from_base64url(part)) for part in signed.split("."))
            signature = from_base64url(signature)
        except (ValueError, binascii.Error) as failure:
            raise Refused(f"not a JWT: {failure}") from None
        if header.get("alg") != "RS256":
            raise Refused(f"alg {header.get('alg')}")
        if claims.get("iss") != self.issuer:
            raise Refused(f"iss {claims.get('iss')} instead of {self.issuer}")
        if claims.get("sub") != self.name:
            raise Refused(f"sub {claims.get('sub')} instead of {self.name}")
        issued, expires = (seconds(claims.get(claim, 0)) for claim in ("iat", "exp"))
        if not (issued - 60 <= now and expires <= issued + MOST_JWT_SECONDS):
            raise Refused(f"iat {issued}, exp {expires} at {now:.0f}")
        with tempfile.NamedTemporaryFile() as file:
            file.write(signature)
            file.flush()
            try:
                openssl("dgst", "-sha256", "-verify", self.key_pair.public, "-signature", file.name, given=signed.encode())
            except RuntimeError:
                raise Refused("the signature is not the user's") from None
        return expires

    def issue(self):
        """In the shape of a JWT, since the official SDK reads from it when it expires."""
        expires = time.time() + self.token_seconds
        claims = {"sub": self.name, "iat": int(time.time()), "exp": int(expires), "jti": secrets.token_hex(8)}
        parts = [json.dumps({"alg": "RS256", "typ": "JWT"}), json.dumps(claims), secrets.token_hex(32)]
        token = ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)
        with self._lock:
            self._tokens[token] = expires
        return token

    def check_token(self, token):
        with self._lock:
            expires = self._tokens.get(token, 0)
        if expires <= time.time():
            raise Refused("the token is unknown or has expired")

    def revoke_tokens(self):
        with self._lock:
            self._tokens.clear()

    def check(self, bearer, jwt_allowed):
        """`bearer`: what follows "Bearer " in the Authorization header."""
        with self._lock:
            exchanged = bearer in self._tokens
        if jwt_allowed and not exchanged:
            self.check_jwt(bearer)
        else:
            self.check_token(bearer)
