# Copyright: the authors of the etcd appliance
# SPDX-License-Identifier: Apache-2.0
"""Options of modules that run on the machine with the CA keys."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  directory:
    description: Directory of the CAs. It must be readable by its owner only.
    type: path
    required: true
  passphrase_file:
    description:
      - File with the passphrase of the CA keys on its first line.
      - Without it, new CA keys are not encrypted.
    type: path
"""
