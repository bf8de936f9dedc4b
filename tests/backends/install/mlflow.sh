#!/usr/bin/env bash
# MLflow's tracking server: two minutes, 0.9 GB.
source "$(dirname "$0")/../installing.sh"
python_packages mlflow
