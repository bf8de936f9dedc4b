#!/usr/bin/env bash
# One to two minutes from empty caches; a C compiler for DuckDB.
source "$(dirname "$0")/../installing.sh"
go_program github.com/CtrlSpice/otel-desktop-viewer@v0.4.1 . 1
