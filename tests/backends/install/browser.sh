#!/usr/bin/env bash
# Chromium, for the pictures of pages.
source "$(dirname "$0")/../installing.sh"
packages chromium
