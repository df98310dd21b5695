#!/usr/bin/env python3
"""Our optimal power flow beside others, on one core, in one run: `opf.py FILE...`, after `install`.

Each problem is solved again and again, and the least time counts. Ipopt (CasADi, exact Hessian, MUMPS) and we start flat
("cold"; Ipopt's functions are built before) or where the last solve ended ("again"). Interior points for the linear model
are set up and solved. Where much else runs, `chrt -f 1` before it all keeps that off the core.
`opf.py --days FOLDER CASES` lets Ipopt try what `disturbed` calls infeasible without a proof.
"""
import contextlib, io, json, os, re, subprocess, sys, time
from pathlib import Path

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[threads] = "1"  # before anything reads them

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SECONDS = float(os.environ.get("SECONDS_EACH", "1"))


def read(path):
    text = re.sub(r"%.*", "", Path(path).read_text())
    case = {"baseMVA": float(re.search(r"mpc\.baseMVA\s*=\s*([^;]+);", text)[1])}
    for name in ("bus", "gen", "branch", "gencost"):
        rows = re.search(rf"mpc\.{name}\s*=\s*\[(.*?)\]", text, re.S)[1]
        rows = [[float(v) for v in row.replace(",", " ").split()] for row in rows.replace("\n", ";").split(";") if row.strip()]
        width = max(map(len, rows))
        case[name] = np.array([row + [0.0] * (width - len(row)) for row in rows])
    if Path(path).stem in ("case33bw", "case69"):  # written in kW and ohms, and converted by the file itself
        z = case["bus"][0, 9] ** 2 / case["baseMVA"]
        case["bus"][:, 2:4] /= 1e3
        case["branch"][:, 2:4] /= z
    return case


def least(work, most=200):
    result, best, begin = None, float("inf"), time.perf_counter()
    for _ in range(most):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
        if time.perf_counter() - begin > SECONDS:
            break
    return result, best * 1e3


class Parts:
    """What takes part of a case, per unit."""

    def __init__(self, case):
        base = self.base = case["baseMVA"]
        bus = case["bus"][case["bus"][:, 1] != 4]
        at = {int(n): k for k, n in enumerate(bus[:, 0])}
        on = [k for k, g in enumerate(case["gen"]) if g[7] > 0 and int(g[0]) in at]
        gen, cost = case["gen"][on], case["gencost"][on]
        br = case["branch"]
        br = br[[b[10] > 0 and int(b[0]) in at and int(b[1]) in at for b in br]]
        self.n, self.ng, self.nl = len(bus), len(gen), len(br)
        self.pd, self.qd, self.gs, self.bs = (bus[:, 2:6] / base).T
        self.vmax, self.vmin = bus[:, 11], bus[:, 12]
        self.ref = int(np.argmax(bus[:, 1] == 3))
        self.ref_angle = np.deg2rad(bus[self.ref, 8])
        self.gb = np.array([at[int(b)] for b in gen[:, 0]])
        self.pmax, self.pmin, self.qmax, self.qmin = gen[:, 8] / base, gen[:, 9] / base, gen[:, 3] / base, gen[:, 4] / base
        self.c = np.zeros((self.ng, 3))
        for row, own in zip(self.c, cost):
            if own[0] != 2 or own[3] > 3:
                raise ValueError("costs are not quadratic")
            count = int(own[3])
            row[3 - count :] = own[4 : 4 + count]
        self.c *= [base**2, base, 1]
        self.f = np.array([at[int(b)] for b in br[:, 0]])
        self.t = np.array([at[int(b)] for b in br[:, 1]])
        self.x, self.tap = br[:, 3], np.where(br[:, 8] == 0, 1, br[:, 8])
        self.shift = np.deg2rad(br[:, 9])
        y = 1 / (br[:, 2] + 1j * br[:, 3])
        turn = self.tap * np.exp(1j * self.shift)
        self.yff, self.ytt = (y + 0.5j * br[:, 4]) / self.tap**2, y + 0.5j * br[:, 4]
        self.yft, self.ytf = -y / turn.conj(), -y / turn
        self.rate = np.where(br[:, 5] > 0, br[:, 5] / base, np.inf)
        wide = br.shape[1] > 12
        low, high = (br[:, 11], br[:, 12]) if wide else (np.zeros(self.nl), np.zeros(self.nl))
        self.low = np.where((low > -360) & (low != 0), np.deg2rad(low), -np.inf)
        self.high = np.where((high < 360) & (high != 0), np.deg2rad(high), np.inf)


def ipopt(parts):
    import casadi as ca

    p = parts
    va, vm, pg, qg = ca.SX.sym("a", p.n), ca.SX.sym("v", p.n), ca.SX.sym("p", p.ng), ca.SX.sym("q", p.ng)
    f, t = p.f.tolist(), p.t.tolist()
    vf, vt, angle = vm[f], vm[t], va[f] - va[t]
    c, s = vf * vt * ca.cos(angle), vf * vt * ca.sin(angle)
    pf = p.yff.real * vf**2 + p.yft.real * c + p.yft.imag * s
    qf = -p.yff.imag * vf**2 - p.yft.imag * c + p.yft.real * s
    pt = p.ytt.real * vt**2 + p.ytf.real * c - p.ytf.imag * s
    qt = -p.ytt.imag * vt**2 - p.ytf.imag * c - p.ytf.real * s
    incidence = lambda where: ca.DM(ca.Sparsity.triplet(p.n, len(where), list(map(int, where)), list(range(len(where)))), 1.0)
    cf, ct, cg = incidence(p.f), incidence(p.t), incidence(p.gb)
    sq = vm**2
    g = [p.pd + p.gs * sq + cf @ pf + ct @ pt - cg @ pg, p.qd - p.bs * sq + cf @ qf + ct @ qt - cg @ qg]
    low, high = [np.zeros(2 * p.n)], [np.zeros(2 * p.n)]
    rated = np.flatnonzero(np.isfinite(p.rate)).tolist()
    if rated:
        g += [pf[rated] ** 2 + qf[rated] ** 2, pt[rated] ** 2 + qt[rated] ** 2]
        high += [p.rate[rated] ** 2] * 2
        low += [np.full(len(rated), -np.inf)] * 2
    held = np.flatnonzero(np.isfinite(p.low) | np.isfinite(p.high)).tolist()
    if held:
        g.append(angle[held])
        low.append(p.low[held])
        high.append(p.high[held])
    x = ca.vertcat(va, vm, pg, qg)
    cost = ca.sum1(p.c[:, 0] * pg**2 + p.c[:, 1] * pg + p.c[:, 2])
    options = {"ipopt.print_level": 0, "print_time": 0, "ipopt.sb": "yes", "ipopt.tol": 1e-8}
    problem = {"x": x, "f": cost, "g": ca.vertcat(*g)}
    cold = ca.nlpsol("cold", "ipopt", problem, options)
    warm_options = {"ipopt.warm_start_init_point": "yes", "ipopt.mu_init": 1e-6, "ipopt.warm_start_bound_push": 1e-8}
    warm = ca.nlpsol("warm", "ipopt", problem, options | warm_options)
    angles = np.full(p.n, -np.inf), np.full(p.n, np.inf)
    angles[0][p.ref] = angles[1][p.ref] = p.ref_angle
    limits = {
        "lbx": np.concatenate([angles[0], p.vmin, p.pmin, p.qmin]),
        "ubx": np.concatenate([angles[1], p.vmax, p.pmax, p.qmax]),
        "lbg": np.concatenate(low),
        "ubg": np.concatenate(high),
    }
    flat = np.concatenate([np.zeros(p.n), np.ones(p.n), (p.pmin + p.pmax) / 2, (p.qmin + p.qmax) / 2])

    def solve():
        return cold(x0=flat, **limits), cold.stats()

    def again(last):
        return lambda: warm(x0=last["x"], lam_x0=last["lam_x"], lam_g0=last["lam_g"], **limits)

    return solve, again


def linear(parts):
    """The linear model: P, q, A, b, G, h, bounds; unknowns are angles and powers."""
    from scipy import sparse

    p = parts
    scale = np.abs(p.c[:, 1] + 2 * p.c[:, 0] * p.pmax).max() or 1.0
    b = 1 / (np.where(p.x == 0, 1e-9, p.x) * p.tap)
    lines = np.arange(p.nl)
    bf = sparse.csc_matrix((np.r_[b, -b], (np.r_[lines, lines], np.r_[p.f, p.t])), (p.nl, p.n))
    a = sparse.csc_matrix((np.r_[np.ones(p.nl), -np.ones(p.nl)], (np.r_[lines, lines], np.r_[p.f, p.t])), (p.nl, p.n))
    cg = sparse.csc_matrix((np.ones(p.ng), (p.gb, np.arange(p.ng))), (p.n, p.ng))
    shift = b * p.shift
    ref = sparse.csc_matrix(([1.0], ([0], [p.ref])), (1, p.n + p.ng))
    A = sparse.vstack([sparse.hstack([-a.T @ bf, cg]), ref]).tocsc()
    rhs = np.r_[p.pd + p.gs - a.T @ shift, p.ref_angle]
    none = sparse.csc_matrix((p.nl, p.ng))
    flows, angles = sparse.hstack([bf, none]).tocsr(), sparse.hstack([a, none]).tocsr()
    rated, high, low = np.isfinite(p.rate), np.isfinite(p.high), np.isfinite(p.low)
    G = sparse.vstack([flows[rated], -flows[rated], angles[high], -angles[low]]).tocsc()
    h = np.r_[p.rate[rated] + shift[rated], p.rate[rated] - shift[rated], p.high[high], -p.low[low]]
    P = sparse.diags(np.r_[np.zeros(p.n), 2 * p.c[:, 0] / scale]).tocsc()
    q = np.r_[np.zeros(p.n), p.c[:, 1] / scale]
    lower, upper = np.r_[np.full(p.n, -np.inf), p.pmin], np.r_[np.full(p.n, np.inf), p.pmax]
    cost = lambda x: float(p.c[:, 0] @ x[p.n :] ** 2 + p.c[:, 1] @ x[p.n :] + p.c[:, 2].sum())
    return P, q, A, rhs, G, h, lower, upper, cost


def piqp_dc(parts):
    import piqp

    P, q, A, b, G, h, lower, upper, cost = linear(parts)

    def solve():
        solver = piqp.SparseSolver()
        solver.settings.eps_abs = solver.settings.eps_rel = 1e-8
        solver.setup(P, q, A, b, G, np.full(len(h), -np.inf), h, lower, upper)
        solver.solve()
        return cost(np.array(solver.result.x))

    return solve


def clarabel_dc(parts):
    import clarabel
    from scipy import sparse

    P, q, A, b, G, h, lower, upper, cost = linear(parts)
    eye = sparse.eye(len(q)).tocsr()[parts.n :]
    rows = sparse.vstack([A, G, eye, -eye]).tocsc()
    right = np.r_[b, h, upper[parts.n :], -lower[parts.n :]]
    settings = clarabel.DefaultSettings()
    settings.verbose = False

    def solve():
        cones = [clarabel.ZeroConeT(len(b)), clarabel.NonnegativeConeT(len(right) - len(b))]
        return cost(np.array(clarabel.DefaultSolver(P, q, rows, right, cones, settings).solve().x))

    return solve


def highs_dc(parts):
    import highspy
    from scipy import sparse

    P, q, A, b, G, h, lower, upper, cost = linear(parts)
    rows = sparse.vstack([A, G]).tocsc()

    def solve():
        solver = highspy.Highs()
        solver.silent()
        model = highspy.HighsModel()
        lp = model.lp_
        lp.num_col_, lp.num_row_ = len(q), rows.shape[0]
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = q, lower, upper
        lp.row_lower_, lp.row_upper_ = np.r_[b, np.full(len(h), -np.inf)], np.r_[b, h]
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = rows.indptr, rows.indices, rows.data
        if P.nnz and P.data.any():
            model.hessian_.dim_ = len(q)
            model.hessian_.format_ = highspy.HessianFormat.kTriangular
            model.hessian_.start_, model.hessian_.index_, model.hessian_.value_ = P.indptr, P.indices, P.data
        solver.passModel(model)
        solver.run()
        return cost(np.array(solver.getSolution().col_value))

    return solve


def pypower_ac(case):
    from pypower.api import ppoption, runopf

    wide = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in case.items()}
    wide["version"] = "2"
    missing = 21 - wide["gen"].shape[1]
    if missing > 0:
        wide["gen"] = np.hstack([wide["gen"], np.zeros((len(wide["gen"]), missing))])
    options = ppoption(VERBOSE=0, OUT_ALL=0)

    def solve():
        with contextlib.redirect_stdout(io.StringIO()):
            result = runopf({k: v.copy() if isinstance(v, np.ndarray) else v for k, v in wide.items()}, options)
        return float(result["f"]) if result["success"] else None

    return solve, wide


def pandapower_ac(wide):
    import pandapower as pp

    net = pandapower_net(wide)

    def solve():
        pp.runopp(net, numba=False)
        return float(net.res_cost)

    return solve


def pandapower_net(wide):
    from pandapower.converter.pypower.from_ppc import from_ppc

    return from_ppc({k: v.copy() if isinstance(v, np.ndarray) else v for k, v in wide.items()}, f_hz=50)


def lightsim(wide):
    import pandapower as pp
    from lightsim2grid.gridmodel import init_from_pandapower

    net = pandapower_net(wide)
    pp.runpp(net, numba=False)
    grid = init_from_pandapower(net)
    start = np.ones(len(net.bus), dtype=complex)
    return lambda: grid.ac_pf(start.copy(), 20, 1e-8)


def grid_model(parts, batch):
    from power_grid_model import LoadGenType, PowerGridModel, initialize_array

    p = parts
    volts, base = 10e3, p.base * 1e6
    ohms = volts**2 / base
    node = initialize_array("input", "node", p.n)
    node["id"], node["u_rated"] = range(p.n), volts
    line = initialize_array("input", "line", p.nl)
    line["id"] = range(p.n, p.n + p.nl)
    line["from_node"], line["to_node"], line["from_status"], line["to_status"] = p.f, p.t, 1, 1
    z = -1 / p.yft * ohms
    line["r1"], line["x1"], line["c1"], line["tan1"] = z.real, z.imag, 0, 0
    load = initialize_array("input", "sym_load", p.n)
    load["id"], load["node"], load["status"] = range(p.n + p.nl, 2 * p.n + p.nl), range(p.n), 1
    load["type"], load["p_specified"], load["q_specified"] = LoadGenType.const_power, p.pd * base, p.qd * base
    source = initialize_array("input", "source", 1)
    source["id"], source["node"], source["status"], source["u_ref"], source["sk"] = 2 * p.n + p.nl, p.ref, 1, 1.0, 1e15
    model = PowerGridModel({"node": node, "line": line, "sym_load": load, "source": source})
    if not batch:
        return lambda: model.calculate_power_flow(output_component_types=["node"])
    update = initialize_array("update", "sym_load", (batch, p.n))
    factor = (0.5 + 0.5 * np.arange(batch) / batch)[:, None]
    update["id"] = load["id"]
    update["p_specified"], update["q_specified"] = factor * load["p_specified"], factor * load["q_specified"]
    return lambda: model.calculate_power_flow(update_data={"sym_load": update}, threading=-1, output_component_types=["node"])


def compare(files):
    times = os.environ.get("TIMES", ROOT / "target/release/examples/times")
    for file in files:
        ours = json.loads(subprocess.run([times, file], capture_output=True, text=True, check=True).stdout)
        case = read(file)
        name = Path(file).stem.replace("pglib_opf_", "")
        rows = []

        def beside(what, own, make, objective):
            if not (own and own.get("objective") is not None):
                return
            try:
                value, ms = make()
            except Exception as e:  # a peer that fails is said and left out
                return print(f"{name}: {what} failed: {type(e).__name__}: {str(e)[:100]}", flush=True)
            off = abs(value / objective - 1) if value is not None else float("nan")
            rows.append((what, ms, own["ms"], ms / own["ms"], off))

        ac, dc = ours["ac"], ours["dc"]
        try:
            parts = Parts(case)
        except Exception as e:  # what the peers' models do not express
            print(f"{name}: {type(e).__name__}: {str(e)[:100]}", flush=True)
            continue
        try:
            solve, again = ipopt(parts)
            (last, stats), _ = least(solve, 1)
            beside("Ipopt, cold", ac, lambda: (lambda r, ms: (float(r[0]["f"]), ms))(*least(solve)), ac["objective"])
            beside("Ipopt, again", ours["ac_again"], lambda: (lambda r, ms: (float(r["f"]), ms))(*least(again(last))), ac["objective"])
        except Exception as e:
            print(f"{name}: Ipopt failed: {type(e).__name__}: {str(e)[:100]}", flush=True)
        try:
            pypower, wide = pypower_ac(case)
        except Exception as e:
            print(f"{name}: PYPOWER, pandapower and lightsim2grid need PYPOWER's case: {type(e).__name__}: {str(e)[:100]}", flush=True)
            pypower = wide = None
        if pypower and parts.n <= 1000:
            beside("PYPOWER", ac, lambda: least(pypower, 5), ac["objective"])
        if wide and parts.n <= 300:
            beside("pandapower", ac, lambda: least(pandapower_ac(wide), 5), ac["objective"])
        for what, make in (("PIQP", piqp_dc), ("Clarabel", clarabel_dc), ("HiGHS", highs_dc)):
            beside(f"DC {what}, cold", dc, lambda: least(make(parts)), dc["objective"])
            if what == "PIQP":
                beside("DC PIQP beside us again", ours["dc_again"], lambda: least(make(parts)), dc["objective"])
        if ours["flow"]["sweep_ms"]:
            for what, own, make, count in (
                ("flow lightsim2grid", ours["flow"]["sweep_ms"], lambda: lightsim(wide), 1),
                ("flow power-grid-model", ours["flow"]["sweep_ms"], lambda: grid_model(parts, 0), 1),
                ("batch power-grid-model", ours["batch"]["us_each"] / 1e3, lambda: grid_model(parts, 1000), 1000),
            ):
                try:
                    _, ms = least(make())
                    rows.append((what, ms / count, own, ms / count / own, float("nan")))
                except Exception as e:
                    print(f"{name}: {what} failed: {type(e).__name__}: {str(e)[:100]}", flush=True)
        for what, theirs, own, ratio, off in rows:
            print(f"{name:16} {what:24} {theirs:10.4f} ms, we {own:10.4f} ms: {ratio:8.1f} x, objectives differ by {off:.0e}", flush=True)
        print(f"{name:16} peak memory: we {ours['peak_kib'] / 1024:.0f} MiB", flush=True)


def days(folder, cases):
    """Ipopt on what was called infeasible."""
    tally = {}
    for file in sorted(Path(folder).glob("*.json")):
        day = json.loads(file.read_text())
        case = read(Path(cases) / f"{day['case']}.m")
        case["bus"][:, 2:4] = day["demand"]
        case["branch"][:, 10], case["gen"][:, 7] = day["branches"], day["generators"]
        status = ipopt(Parts(case))[0]()[1]["return_status"]
        tally[day["case"], status] = tally.get((day["case"], status), 0) + 1
        if status == "Solve_Succeeded":
            print(f"{file.stem}: solved by Ipopt")
    for (case, status), count in sorted(tally.items()):
        print(f"{case}: {count} x {status}")


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--days":
        days(*sys.argv[2:])
    elif len(sys.argv) > 1:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        compare(sys.argv[1:])
    else:
        sys.exit(__doc__)
