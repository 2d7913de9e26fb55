"""Experiments: a spec in, a run folder out."""

from falsewitness.experiment._environment import choose_device
from falsewitness.experiment._examine import examine_model, examine_run
from falsewitness.experiment._explain_files import Explained, explain_files
from falsewitness.experiment._recipes import (
    changed,
    find_spec,
    laid_over,
    named_after,
    own_file,
    raw_spec,
    read_spec,
    read_yaml_file,
    recipe_names,
    recipe_summary,
)
from falsewitness.experiment._rehearsal import faults_of_labels, faults_of_network
from falsewitness.experiment._reporter import SILENT, Reporter, Silent
from falsewitness.experiment._run import run
from falsewitness.experiment._run_folder import STAGES, RunFolder, in_json
from falsewitness.experiment._spec import ROLES, Evaluation, FolderName, Role, Spec, parse_spec
from falsewitness.experiment._workplace import Workplace
from falsewitness.experiment._written_explainer import written_explainer

__all__ = [
    "ROLES",
    "SILENT",
    "STAGES",
    "Evaluation",
    "Explained",
    "FolderName",
    "Reporter",
    "Role",
    "RunFolder",
    "Silent",
    "Spec",
    "Workplace",
    "changed",
    "choose_device",
    "examine_model",
    "examine_run",
    "explain_files",
    "faults_of_labels",
    "faults_of_network",
    "find_spec",
    "in_json",
    "laid_over",
    "named_after",
    "own_file",
    "parse_spec",
    "raw_spec",
    "read_spec",
    "read_yaml_file",
    "recipe_names",
    "recipe_summary",
    "run",
    "written_explainer",
]
