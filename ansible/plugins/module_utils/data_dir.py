# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Nothing is deleted: it is moved aside."""

from __future__ import annotations

import os
import shutil
import time


def timestamp():
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def move_data(data_dir, reason):
    """Empties a data directory, whose place, owner and mode stay. Gives the place of what was there; empty when there was nothing."""
    found = os.listdir(data_dir) if os.path.isdir(data_dir) else []
    if not found:
        return ""
    target = f"{data_dir}.before-{reason}-{timestamp()}"
    os.mkdir(target, 0o700)
    for name in found:
        shutil.move(os.path.join(data_dir, name), os.path.join(target, name))
    return target
