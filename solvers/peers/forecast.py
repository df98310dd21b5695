"""What others make of a load history: statsforecast's models and a PyTorch GRU, scored as `--example forecast` scores.

    python3 solvers/peers/forecast.py FILE DAYS [stats|gru]

The last DAYS are kept back; one forecast of a day from every midnight. MASE is in units of the error of yesterday's value
in the data before. Needs pandas, and statsforecast or torch.
"""

import sys

import numpy as np
import pandas as pd


def load(path):
    table = pd.read_csv(path)
    zone = table["timestamp"].str[-6:].iloc[-1]
    local = pd.to_datetime(table["timestamp"].str[:19])
    values = pd.Series(table.iloc[:, 1].to_numpy(float), index=local)
    values = values.groupby(level=0).mean()
    step = values.index.to_series().diff().mode()[0]
    full = values.asfreq(step)
    real = full.notna().to_numpy()
    day = int(pd.Timedelta("1D") / step)
    filled = full.copy()
    filled = filled.fillna(filled.shift(7 * day)).fillna(filled.shift(day)).ffill()
    print(f"{len(full)} slots, {day} a day, offset {zone}", file=sys.stderr)
    return filled, real, day


def report(name, said, values, real, cut, day):
    truth, mask = values[cut:], real[cut:]
    said = np.concatenate(said)[: len(truth)]
    before = np.abs(values[day:cut] - values[: cut - day])[real[day:cut] & real[: cut - day]].mean()
    miss = np.abs(truth - said)[mask]
    share = (np.abs(truth - said) / np.abs(truth))[mask & (truth != 0)]
    print(f"| {name} | {100 * share.mean():.3f} | {miss.mean() / before:.3f} |", flush=True)


def stats(series, real, day, cut):
    from statsforecast.models import MSTL, AutoETS, DynamicOptimizedTheta, HoltWinters, SeasonalNaive

    values = series.to_numpy()
    models = {
        "statsforecast SeasonalNaive, a week": lambda: SeasonalNaive(7 * day),
        "statsforecast HoltWinters, a day": lambda: HoltWinters(day),
        "statsforecast DynamicOptimizedTheta, a day": lambda: DynamicOptimizedTheta(day),
        "statsforecast MSTL day and week, AutoETS": lambda: MSTL([day, 7 * day], trend_forecaster=AutoETS(model="ZZN")),
    }
    for name, make in models.items():
        said = []
        for origin in range(cut, len(values), day):
            # Eight weeks: more make these models slower and no better.
            said.append(make().forecast(y=values[max(0, origin - 56 * day) : origin], h=day)["mean"])
        report(name, said, values, real, cut, day)


def gru(series, real, day, cut, hidden=16, epochs=16, seeds=2):
    import torch

    torch.set_num_threads(1)
    values = series.to_numpy()
    mean, spread = values[:cut].mean(), values[:cut].std()
    z = (values - mean) / spread
    minute = (series.index.hour * 60 + series.index.minute).to_numpy()
    weekday = series.index.dayofweek.to_numpy()
    turn = lambda x: [np.sin(2 * np.pi * x), np.cos(2 * np.pi * x)]
    week = (weekday * 1440 + minute) / 10080
    calendar = np.stack([*turn(minute / 1440), *turn(minute / 720), *turn(week), weekday >= 5], 1).astype(float)

    def inputs(o):
        rows = []
        for t in range(o - day, o + day):
            rows.append([z[t] if t < o else 0.0, float(t < o), z[t - day], z[t - 7 * day], z[t - 14 * day], *calendar[t]])
        return rows

    origins = [o for o in range(cut - day, 15 * day, -day)][:365][::-1]
    x = torch.tensor(np.array([inputs(o) for o in origins]), dtype=torch.float32)
    y = torch.tensor(np.array([z[o : o + day] for o in origins]), dtype=torch.float32)
    later = [o for o in range(cut, len(values), day) if o + day <= len(values)]
    tests = torch.tensor(np.array([inputs(o) for o in later]), dtype=torch.float32)
    check = len(origins) // 5
    total = 0
    for seed in range(seeds):
        torch.manual_seed(seed)
        unit = torch.nn.GRU(x.shape[2], hidden, batch_first=True)
        out = torch.nn.Linear(hidden, 1)
        say = lambda x: out(unit(x)[0][:, day:]).squeeze(-1)
        both = [*unit.parameters(), *out.parameters()]
        adam = torch.optim.Adam(both, lr=0.004)
        best, kept = np.inf, None
        for _ in range(4 * epochs):
            for batch in torch.randperm(len(origins) - check).split(8):
                adam.zero_grad()
                loss = torch.nn.functional.smooth_l1_loss(say(x[batch]), y[batch])
                loss.backward()
                torch.nn.utils.clip_grad_norm_(both, 1.0)
                adam.step()
            with torch.no_grad():
                now = (say(x[-check:]) - y[-check:]).abs().mean().item()
            if now < best:
                best, kept = now, [p.detach().clone() for p in both]
        with torch.no_grad():
            for p, k in zip(both, kept):
                p.copy_(k)
            total = total + say(tests).numpy()
    report(f"PyTorch GRU({hidden}), same lags and calendar, mean of {seeds}", list(total / seeds * spread + mean), values, real, cut, day)


if __name__ == "__main__":
    series, real, day = load(sys.argv[1])
    cut = len(series) - int(sys.argv[2]) * day
    which = sys.argv[3] if len(sys.argv) > 3 else "stats"
    print("| model | MAPE | MASE |\n| --- | --- | --- |")
    (gru if which == "gru" else stats)(series, real, day, cut)
