"""Reports: what a person looks at, and the measurements behind it."""

from allinone.report.data_bench import LoadingCost, loading_cost
from allinone.report.memory import peak_memory
from allinone.report.step_bench import StepBench, StepCost

__all__ = ["LoadingCost", "StepBench", "StepCost", "loading_cost", "peak_memory"]
