"""How the server is installed: `pip install .` gives the package `incoming` and the command `incoming`.

With SOURCE_DATE_EPOCH set, the same tree gives the same bytes, for the source distribution and for the wheel.
"""

import gzip
import io
import os
import re
import tarfile
import time
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.sdist import sdist

HERE = Path(__file__).parent
(VERSION,) = re.findall(r'^__version__ = "(.+)"$', (HERE / "incoming/__init__.py").read_text("utf-8"), re.M)
# Those that `incoming --examples` starts.
EXAMPLES = ("1-simple", "2-dynamic", "3-dropzone", "5-uppy", "6-folder")
RELATIVE_LINK = re.compile(r"!?\[([^\]\n]*)\]\((?![a-z]+:)[^)\s]+\)")


def long_description():
    """Returns the README for a page of a package index, where no link into the tree leads anywhere.

    Of such a link only the text stays, and of such a picture nothing.
    """
    readme = (HERE / "README.md").read_text("utf-8")
    return RELATIVE_LINK.sub(lambda link: "" if link[0].startswith("!") else link[1], readme)


class ReproducibleSdist(sdist):
    """Writes the archive without anything that the build's machine, user or time would change."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, owner=None, group=None):  # noqa: A002, PLR0913, PLR0917 - the signature is distutils'
        """See distutils.cmd.Command. Every file has the same time and owner, and one of two modes."""
        if format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, owner, group)
        built_s = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(Path(base_dir).rglob("*")):
                entry = archive.gettarinfo(path)
                entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = built_s, 0, 0, "", ""
                entry.mode = 0o755 if path.is_dir() or entry.mode & 0o100 else 0o644
                # A file that was linked in more than once would be a link here, depending on the file system.
                entry.type = tarfile.DIRTYPE if path.is_dir() else tarfile.REGTYPE
                entry.size = 0 if path.is_dir() else path.stat().st_size
                archive.addfile(entry, None if path.is_dir() else io.BytesIO(path.read_bytes()))
        file = Path(f"{base_name}.tar.gz")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.compress(packed.getvalue(), mtime=built_s))
        return str(file)


setup(
    name="incoming-server",
    version=VERSION,
    description="Large file uploads, taken off a web app's back",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    keywords="upload resumable large-files tus websocket server wsgi bottle gevent",
    python_requires=">=3.11",
    # The lowest versions that the tests pass with; requirements.txt pins newer ones.
    install_requires=[
        "bottle>=0.13",
        "click>=8.1",
        "contentdisp>=1.0",
        "crc32c>=2.4",
        "gevent>=24.11.1",
        "gevent-websocket>=0.10.1",
        "http-sf>=1.5",
        "msgspec>=0.19",
        "numpy>=1.26",
        "prometheus-client>=0.20",
        "python-multipart>=0.0.31",
        "requests>=2.31",
    ],
    extras_require={
        "gunicorn": ["gunicorn>=23", "packaging"],  # gunicorn 27 imports packaging, and does not ask for it
        "redis": ["redis>=5.0"],  # tickets that several servers share
        "s3": ["botocore>=1.36"],  # files in S3; earlier ones know no checksum of a whole object
        "uwsgi": ["pyuwsgi"],  # uWSGI, built already
    },
    # The JavaScript library and the examples are at the top of the tree, and in the package once installed.
    packages=[*find_packages(include=["incoming", "incoming.*"]), "incoming.static", "incoming.examples"],
    package_dir={"incoming.static": "static", "incoming.examples": "examples"},
    package_data={
        "incoming": ["py.typed"],
        "incoming.static": [
            *("*.js", "*.mjs", "*.cjs", "*.d.ts", "*.d.mts", "*.d.cts", "*.html", "*.css", "package.json"),
            *("*.map", "*.gz", "*.br", "texts/*"),
        ],
        "incoming.examples": [f"{name}/*.*" for name in EXAMPLES],
    },
    entry_points={"console_scripts": ["incoming = incoming.cli:main"]},
    cmdclass={"sdist": ReproducibleSdist},
    zip_safe=False,
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Environment :: Web Environment",
        "Framework :: Bottle",
        "Intended Audience :: Developers",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: JavaScript",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13, 14)),
        "Programming Language :: Python :: Implementation :: CPython",
        "Topic :: Internet :: WWW/HTTP :: HTTP Servers",
        "Topic :: Internet :: WWW/HTTP :: WSGI :: Server",
        "Typing :: Typed",
    ],
)
