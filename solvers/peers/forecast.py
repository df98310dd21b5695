"""What others make of a load history: statsforecast's models and a PyTorch GRU, scored as `--example forecast` scores.

    python3 solvers/peers/forecast.py DAYS FILE...

The last DAYS are kept back; one forecast of a day from every midnight. MASE is in units of the error of yesterday's value
in the data before. A model has a process of its own, on one core: its time is the processor's, its memory what the
process held at most, the interpreter and libraries in it. Needs pandas, statsforecast and torch.
"""

import os

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[threads] = "1"

import pickle
import resource
import sys
import time
import warnings

import numpy as np
import pandas as pd

# Of statsforecast's models: more makes them slower and no better.
WEEKS = 8
# Days after which they are fitted again; between, what was fitted runs on over what has come since.
REFIT = 7
LEVEL = 80


class Task:
    """A history on an even grid, and where what is kept back begins."""

    def __init__(self, path, days):
        table = pd.read_csv(path)
        local = pd.to_datetime(table["timestamp"].str[:19])
        values = pd.Series(table.iloc[:, 1].to_numpy(float), index=local)
        values = values.groupby(level=0).mean()
        step = values.index.to_series().diff().mode()[0]
        full = values.asfreq(step)
        self.real = full.notna().to_numpy()
        self.day = int(pd.Timedelta("1D") / step)
        filled = full.fillna(full.shift(7 * self.day)).fillna(full.shift(self.day)).ffill()
        self.index, self.values = filled.index, filled.to_numpy()
        self.cut = len(filled) - days * self.day

    def origins(self):
        return range(self.cut, len(self.values), self.day)


def report(task, name, said, low, high, trained, told, size):
    truth, mask = task.values[task.cut :], task.real[task.cut :]
    said, low, high = (np.concatenate(x)[: len(truth)] for x in (said, low, high))
    before, real = task.values[: task.cut], task.real[: task.cut]
    naive = np.abs(before[task.day :] - before[: -task.day])[real[task.day :] & real[: -task.day]].mean()
    miss = np.abs(truth - said)[mask]
    share = (np.abs(truth - said) / np.abs(truth))[mask & (truth != 0)]
    held = ((low <= truth) & (truth <= high))[mask].mean()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"| {name} | {100 * share.mean():.2f} | {miss.mean() / naive:.3f} | {held:.3f} "
        f"| {trained:.2f} | {1000 * told:.2f} | {peak:.0f} | {size / 1024:.0f} |",
        flush=True,
    )


def stats(task, name, make):
    said, low, high, trained, told, fits = [], [], [], 0.0, 0.0, 0
    for n, origin in enumerate(task.origins()):
        y = task.values[max(0, origin - WEEKS * 7 * task.day) : origin]
        start = time.process_time()
        if n % REFIT == 0:
            model, fits = make().fit(y=y), fits + 1
            middle = time.process_time()
            out = model.predict(h=task.day, level=[LEVEL])
        else:
            # What was fitted, over the values up to now.
            middle = start
            out = model.forward(y=y, h=task.day, level=[LEVEL])
        trained, told = trained + middle - start, told + time.process_time() - middle
        said.append(out["mean"])
        low.append(out[f"lo-{LEVEL}"])
        high.append(out[f"hi-{LEVEL}"])
    n = len(task.origins())
    report(task, name, said, low, high, trained / fits, told / n, len(pickle.dumps(model)))


def statistical(day):
    from statsforecast.models import MSTL, AutoETS, DynamicOptimizedTheta, HoltWinters, SeasonalNaive

    return {
        "seasonal naive, a week": lambda: SeasonalNaive(7 * day),
        "ETS (additive Holt–Winters), a day": lambda: HoltWinters(day),
        "dynamic optimised theta, a day": lambda: DynamicOptimizedTheta(day),
        "MSTL of day and week, ETS": lambda: MSTL([day, 7 * day], trend_forecaster=AutoETS(model="ZZN")),
    }


def gru(task, hidden=16, epochs=40, patience=6, seeds=2):
    import torch

    torch.set_num_threads(1)
    values, day, cut = task.values, task.day, task.cut
    mean, spread = values[:cut].mean(), values[:cut].std()
    z = (values - mean) / spread
    minute = (task.index.hour * 60 + task.index.minute).to_numpy()
    weekday = task.index.dayofweek.to_numpy()
    turn = lambda x: [np.sin(2 * np.pi * x), np.cos(2 * np.pi * x)]
    week = (weekday * 1440 + minute) / 10080
    calendar = np.stack([*turn(minute / 1440), *turn(minute / 720), *turn(week), weekday >= 5], 1).astype(float)

    def inputs(o):
        rows = []
        for t in range(o - day, o + day):
            rows.append([z[t] if t < o else 0.0, float(t < o), z[t - day], z[t - 7 * day], z[t - 14 * day], *calendar[t]])
        return rows

    start = time.process_time()
    origins = [o for o in range(cut - day, 15 * day, -day)][:365][::-1]
    x = torch.tensor(np.array([inputs(o) for o in origins]), dtype=torch.float32)
    y = torch.tensor(np.array([z[o : o + day] for o in origins]), dtype=torch.float32)
    check = len(origins) // 5
    units, checked = [], 0
    for seed in range(seeds):
        torch.manual_seed(seed)
        unit = torch.nn.GRU(x.shape[2], hidden, batch_first=True)
        out = torch.nn.Linear(hidden, 1)
        say = lambda x, unit=unit, out=out: out(unit(x)[0][:, day:]).squeeze(-1)
        both = [*unit.parameters(), *out.parameters()]
        adam = torch.optim.Adam(both, lr=0.004)
        best, kept, since = np.inf, None, 0
        for _ in range(epochs):
            for batch in torch.randperm(len(origins) - check).split(8):
                adam.zero_grad()
                loss = torch.nn.functional.smooth_l1_loss(say(x[batch]), y[batch])
                loss.backward()
                torch.nn.utils.clip_grad_norm_(both, 1.0)
                adam.step()
            with torch.no_grad():
                now = (say(x[-check:]) - y[-check:]).abs().mean().item()
            since += 1
            if now < best:
                best, kept, since = now, [p.detach().clone() for p in both], 0
            if since == patience:
                break
        with torch.no_grad():
            for p, k in zip(both, kept):
                p.copy_(k)
            checked = checked + say(x[-check:]).numpy() / seeds
        units.append(say)
    # The interval: between the tenths of what the days that stopped the training were missed by, at that time of day.
    misses = y[-check:].numpy() - checked
    edges = np.quantile(misses, [0.1, 0.9], axis=0)
    trained = time.process_time() - start
    later = [o for o in task.origins() if o + day <= len(values)]
    start = time.process_time()
    with torch.no_grad():
        said = sum(say(torch.tensor(np.array([inputs(o) for o in later]), dtype=torch.float32)).numpy() for say in units) / seeds
    told = (time.process_time() - start) / len(later)
    size = 4 * seeds * sum(p.numel() for p in both)
    back = lambda s: list(s * spread + mean)
    name = f"PyTorch {torch.__version__.split('a')[0]} GRU({hidden}), mean of {seeds}"
    report(task, name, back(said), back(said + edges[0]), back(said + edges[1]), trained, told, size)


def alone(work, *arguments):
    """In a process of its own, so that its memory is its own."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work(*arguments)
            code = 0
        except Exception as error:
            print(f"{arguments[1:2] or work.__name__}: {error}", file=sys.stderr)
        os._exit(code)
    os.waitpid(child, 0)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for path in sys.argv[2:]:
        task = Task(path, int(sys.argv[1]))
        print(f"\n{path}: {len(task.values)} slots, {task.day} a day, the last {sys.argv[1]} days\n")
        print("| model | MAPE % | MASE | held 80 % | learn, s | tell, ms | peak MiB | model KiB |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
        for name, make in statistical(task.day).items():
            alone(stats, task, name, make)
        alone(gru, task)
