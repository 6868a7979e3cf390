"""Sweeps: many runs of the pipeline, each a process of its own, that can be stopped and go on.

words.py     what the command line asks for: what is fixed, what varies (Hydra's grammar)
settings.py  conf/sweep/*.yaml, checked
jobs.py      the jobs of a grid, each with the digest of its configuration
study.py     the jobs that Optuna proposes, batch by batch
folder.py    sweeps/<id>/: a state file a job, errors, results
runner.py    processes: started, watched, stopped, told apart by how they ended
worker.py    the other side: what a job's own process tells the sweep
progress.py  what the terminal shows meanwhile
results.py   a row a job, and which one is best
summary.py   the same in words
published.py the sweep's run in MLflow, above those of its jobs
overview.py  how sweeps stand
command.py   all of it in order
"""
