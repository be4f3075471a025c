"""How the server is installed: `pip install .` gives the package `incoming` and the command `incoming`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
(VERSION,) = re.findall(r'^__version__ = "(.+)"$', (HERE / "incoming/__init__.py").read_text("utf-8"), re.M)

setup(
    name="incoming-server",
    version=VERSION,
    description="Large file uploads, taken off a web app's back",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
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
        "uwsgi": ["pyuwsgi"],  # uWSGI, built already
    },
    # The JavaScript library lives at the top of the tree, and inside the package once it is installed.
    packages=[*find_packages(include=["incoming", "incoming.*"]), "incoming.static"],
    package_dir={"incoming.static": "static"},
    package_data={
        "incoming": ["py.typed"],
        "incoming.static": [
            *("*.js", "*.mjs", "*.d.ts", "*.d.mts", "*.html", "*.css", "package.json"),
            *("*.map", "*.gz", "*.br"),
        ],
    },
    entry_points={"console_scripts": ["incoming = incoming.cli:main"]},
    zip_safe=False,
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Internet :: WWW/HTTP",
        "Typing :: Typed",
    ],
)
