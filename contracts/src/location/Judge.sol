// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title A claimed place against measured distances
/// @notice The same steps with the same integers as `solvers::locate::judge`, where the method and its limits are explained.
/// @dev Lengths are millimetres relative to the claim, below 2^20. Unit vectors and logarithms count in 2^-20, weights in
/// 2^-48 of 1/mm^2, with at least two metres. The largest product is below 2^126, so nothing below can overflow 256 bits.
library Judge {
    /// @dev What one prover measured, and where it stands.
    struct Seen {
        int256 x;
        int256 y;
        int256 distance;
    }

    /// @dev What is held against: squares of logarithms times 2^20, a length, and limits of what is left by the number of
    /// provers less three, 32 bits each from the lowest: eight, and five.
    struct Limits {
        int256 off;
        int256 reach;
        uint256 low;
        uint256 high;
    }

    /// @dev What came out; `x` and `y` are relative to the claim, `dropped` is bit by bit.
    struct Judged {
        uint8 verdict;
        int256 x;
        int256 y;
        uint256 dropped;
        uint256 off;
        uint256 left;
    }

    /// @dev The least squares at a place: the normal matrix and its right side.
    struct Normal {
        int256 xx;
        int256 xy;
        int256 yy;
        int256 bx;
        int256 by;
    }

    /// @dev A place, how provers are seen from there, what the distances leave, and who leaves most.
    struct Found {
        int256 x;
        int256 y;
        int256 left;
        uint256 worst;
        Sight[] sights;
    }

    /// @dev A prover as it is seen from a place: unit vector, distance, logarithm of the measured over it.
    struct Sight {
        int256 ux;
        int256 uy;
        int256 range;
        int256 log;
    }

    /// @notice The provers do not agree, or stand so that they cannot tell.
    uint8 internal constant UNCLEAR = 0;
    /// @notice The device is where it says.
    uint8 internal constant HERE = 1;
    /// @notice All but the dropped agree that it is somewhere else.
    uint8 internal constant ELSEWHERE = 2;
    /// @notice The largest coordinate relative to the claim, and the largest distance.
    int256 internal constant LARGEST = 1 << 20;
    /// @notice The most provers.
    uint256 internal constant MOST = 15;

    /// @dev A prover nearer than this weighs as much as one so near.
    int256 private constant NEAREST = 2000;
    /// @dev Steps of a descent, those that led nowhere included.
    uint256 private constant STEPS = 8;
    /// @dev A step that left more is taken so many times shorter.
    int256 private constant SHORTER = 4;
    /// @dev A step not longer than this is none.
    int256 private constant ARRIVED = 4;
    /// @dev Bits of a length and of a weight where circles cross.
    uint256 private constant COARSE = 16;
    uint256 private constant UNIT = 20;
    uint256 private constant WEIGHT = 48;
    /// @dev Bits after the point of a ratio.
    uint256 private constant RATIO = 60;
    /// @dev ln 2, in 2^-20.
    int256 private constant LN_2 = 726817;

    /// @notice Judges a claim. Unclear without a word if provers are fewer than three, or stand in one line with it.
    /// @param seen by whom and how far away; no more than `MOST`, each within `LARGEST`.
    /// @param limits what it is held against.
    /// @return judged what comes out.
    function judge(Seen[] memory seen, Limits memory limits) internal pure returns (Judged memory judged) {
        unchecked {
            if (seen.length < 3) return judged;
            Sight[] memory sights = new Sight[](seen.length);
            for (uint256 i = 0; i < seen.length; ++i) sights[i] = _sight(seen[i], 0, 0);
            uint256 dropped = 0;
            (int256 fromX, int256 fromY) = (0, 0);
            for (uint256 tries = 0; ; ++tries) {
                Normal memory n = _normal(sights, dropped);
                (bool fit, int256 sx, int256 sy) = _step(n);
                if (!fit) return Judged(UNCLEAR, 0, 0, 0, 0, 0);
                if (tries == 0) (fromX, fromY) = (sx, sy);
                int256 off = (n.bx * sx + n.by * sy) >> (WEIGHT - UNIT);
                (int256 left, uint256 worst) = _left(sights, dropped, sx, sy);
                (judged.off, judged.left) = (_whole(off), _whole(left));
                if (left <= _limit(limits, seen.length, dropped)) {
                    if (off <= limits.off && _isSharp(n, limits)) {
                        (judged.verdict, judged.x, judged.y, judged.dropped) = (HERE, sx, sy, dropped);
                        return judged;
                    }
                    break;
                }
                if (!_mayDrop(seen.length, dropped)) break;
                dropped |= 1 << worst;
            }
            _seek(seen, sights, limits, judged, fromX, fromY);
        }
    }

    /// @dev The claim does not hold: where do the distances pull to, and do they agree on it? `from` is the first step from
    /// the claim.
    function _seek(
        Seen[] memory seen,
        Sight[] memory claim,
        Limits memory limits,
        Judged memory judged,
        int256 fromX,
        int256 fromY
    ) private pure {
        unchecked {
            uint256 dropped = 0;
            while (true) {
                int256 allowed = _limit(limits, seen.length, dropped);
                (bool any, Found memory best) = _sought(seen, dropped, fromX, fromY, allowed);
                if (!any) return;
                (judged.x, judged.y, judged.left) = (best.x, best.y, _whole(best.left));
                if (best.left <= allowed) {
                    // Who stands so that a true claim would be blunt cannot say that one is false either.
                    if (_isSharp(_normal(claim, dropped), limits)) {
                        (judged.verdict, judged.dropped) = (ELSEWHERE, dropped);
                    }
                    return;
                }
                if (!_mayDrop(seen.length, dropped)) return;
                dropped |= 1 << best.worst;
            }
        }
    }

    /// @dev The best place that descents lead to: from where the circles cross, and, if more than allowed is left there,
    /// from where the claim's own step leads.
    function _sought(
        Seen[] memory seen,
        uint256 dropped,
        int256 fromX,
        int256 fromY,
        int256 allowed
    ) private pure returns (bool any, Found memory best) {
        unchecked {
            (bool crosses, int256 x, int256 y) = _crossing(seen, dropped);
            if (crosses) {
                (any, best) = _descend(seen, dropped, x, y);
                if (any && best.left <= allowed) return (any, best);
            }
            (bool fit, Found memory other) = _descend(seen, dropped, fromX, fromY);
            if (fit && (!any || other.left < best.left)) return (true, other);
        }
    }

    /// @dev Steps from a place, each taken if it leaves less, and shortened if not.
    function _descend(
        Seen[] memory seen,
        uint256 dropped,
        int256 x,
        int256 y
    ) private pure returns (bool fit, Found memory best) {
        unchecked {
            best = _at(seen, dropped, x, y);
            int256 sx;
            int256 sy;
            (fit, sx, sy) = _step(_normal(best.sights, dropped));
            if (!fit) return (false, best);
            for (uint256 i = 0; i < STEPS; ++i) {
                if (_abs(sx) + _abs(sy) <= ARRIVED) break;
                Found memory next = _at(seen, dropped, best.x + sx, best.y + sy);
                if (next.left < best.left) {
                    best = next;
                    bool further;
                    (further, sx, sy) = _step(_normal(best.sights, dropped));
                    if (!further) break;
                } else {
                    (sx, sy) = (sx / SHORTER, sy / SHORTER);
                }
            }
        }
    }

    /// @dev What the distances leave at a place, or at the nearest one that is near enough.
    function _at(
        Seen[] memory seen,
        uint256 dropped,
        int256 x,
        int256 y
    ) private pure returns (Found memory found) {
        unchecked {
            (found.x, found.y) = (_within(x), _within(y));
            found.sights = new Sight[](seen.length);
            for (uint256 i = 0; i < seen.length; ++i) {
                if ((dropped >> i) & 1 == 0) found.sights[i] = _sight(seen[i], found.x, found.y);
            }
            // Nothing is linear any more: no step from here.
            (found.left, found.worst) = _left(found.sights, dropped, 0, 0);
        }
    }

    /// @dev Where the circles cross: less their mean they are straight lines, whose least squares follow at once. A circle
    /// counts by the inverse square of its radius. Not if the provers stand in one line.
    function _crossing(Seen[] memory seen, uint256 dropped) private pure returns (bool fit, int256 px, int256 py) {
        unchecked {
            (uint256 shift, int256 nearest) = _scale(seen, dropped);
            int256[4][] memory circles = new int256[4][](seen.length);
            int256[4] memory mean;
            for (uint256 i = 0; i < seen.length; ++i) {
                if ((dropped >> i) & 1 == 1) continue;
                int256[4] memory c = circles[i];
                (c[1], c[2]) = (seen[i].x >> shift, seen[i].y >> shift);
                int256 d = seen[i].distance;
                int256 nearness = (nearest << COARSE) / (d > NEAREST ? d : NEAREST);
                int256 w = (nearness * nearness) >> COARSE;
                if (w < 1) w = 1;
                d >>= shift;
                (c[0], c[3]) = (w, c[1] * c[1] + c[2] * c[2] - d * d);
                mean[0] += w;
                for (uint256 j = 1; j < 4; ++j) mean[j] += w * c[j];
            }
            for (uint256 j = 1; j < 4; ++j) mean[j] /= mean[0];
            Normal memory n;
            for (uint256 i = 0; i < seen.length; ++i) {
                if ((dropped >> i) & 1 == 1) continue;
                int256[4] memory c = circles[i];
                (int256 x, int256 y, int256 z) = (c[1] - mean[1], c[2] - mean[2], c[3] - mean[3]);
                (int256 wx, int256 wy) = (c[0] * x, c[0] * y);
                n.xx += wx * x;
                n.xy += wx * y;
                n.yy += wy * y;
                n.bx += wx * z;
                n.by += wy * z;
            }
            int256 det = n.xx * n.yy - n.xy * n.xy;
            int256 sum = n.xx + n.yy;
            if (det <= (sum * sum) >> UNIT) return (false, 0, 0);
            // Each line is twice its centre from the mean, so the place is half of the solution.
            px = (((n.yy * n.bx - n.xy * n.by) / det) << shift) >> 1;
            py = (((n.xx * n.by - n.xy * n.bx) / det) << shift) >> 1;
            fit = true;
        }
    }

    /// @dev By how many bits lengths are too long for `COARSE`, and the least distance.
    function _scale(Seen[] memory seen, uint256 dropped) private pure returns (uint256 shift, int256 nearest) {
        unchecked {
            int256 longest = 0;
            nearest = LARGEST;
            for (uint256 i = 0; i < seen.length; ++i) {
                if ((dropped >> i) & 1 == 1) continue;
                (int256 x, int256 y, int256 d) = (_abs(seen[i].x), _abs(seen[i].y), seen[i].distance);
                if (x > longest) longest = x;
                if (y > longest) longest = y;
                if (d > longest) longest = d;
                if (d < nearest) nearest = d;
            }
            if (nearest < NEAREST) nearest = NEAREST;
            uint256 bits = _log2(uint256(longest)) + 1;
            shift = bits > COARSE ? bits - COARSE : 0;
        }
    }

    function _abs(int256 v) private pure returns (int256) {
        return v < 0 ? -v : v;
    }

    function _sight(Seen memory s, int256 x, int256 y) private pure returns (Sight memory) {
        unchecked {
            (int256 dx, int256 dy) = (x - s.x, y - s.y);
            int256 range = int256(_sqrt(uint256(dx * dx + dy * dy)));
            if (range == 0) range = 1;
            int256 log = _logRatio(uint256(s.distance), uint256(range));
            return Sight((dx << UNIT) / range, (dy << UNIT) / range, range, log);
        }
    }

    function _normal(Sight[] memory sights, uint256 dropped) private pure returns (Normal memory n) {
        unchecked {
            for (uint256 i = 0; i < sights.length; ++i) {
                if ((dropped >> i) & 1 == 1) continue;
                Sight memory s = sights[i];
                int256 near = s.range > NEAREST ? s.range : NEAREST;
                int256 weight = int256(1 << WEIGHT) / (near * near);
                n.xx += (weight * s.ux * s.ux) >> UNIT;
                n.xy += (weight * s.ux * s.uy) >> UNIT;
                n.yy += (weight * s.uy * s.uy) >> UNIT;
                int256 pull = (weight * s.range * s.log) >> UNIT;
                n.bx += (pull * s.ux) >> UNIT;
                n.by += (pull * s.uy) >> UNIT;
            }
        }
    }

    /// @dev The step that explains the distances best. None where the smaller eigenvalue is less than a millionth of the
    /// larger.
    function _step(Normal memory n) private pure returns (bool fit, int256 sx, int256 sy) {
        unchecked {
            int256 det = n.xx * n.yy - n.xy * n.xy;
            int256 sum = n.xx + n.yy;
            if (det <= (sum * sum) >> UNIT) return (false, 0, 0);
            sx = ((n.yy * n.bx - n.xy * n.by) << UNIT) / det;
            sy = ((n.xx * n.by - n.xy * n.bx) << UNIT) / det;
            fit = true;
        }
    }

    /// @dev Whether no ellipse of the limit reaches farther than allowed.
    function _isSharp(Normal memory n, Limits memory limits) private pure returns (bool) {
        unchecked {
            int256 square = limits.reach * limits.reach;
            int256 least = (limits.off << WEIGHT) / (square > 0 ? square : int256(1));
            (int256 xx, int256 yy) = (n.xx - least, n.yy - least);
            return xx >= 0 && yy >= 0 && xx * yy - n.xy * n.xy >= 0;
        }
    }

    /// @dev What the distances leave after a step, as if all were linear, and who leaves most.
    function _left(
        Sight[] memory sights,
        uint256 dropped,
        int256 x,
        int256 y
    ) private pure returns (int256 left, uint256 worst) {
        unchecked {
            int256 most = -1;
            for (uint256 i = 0; i < sights.length; ++i) {
                if ((dropped >> i) & 1 == 1) continue;
                Sight memory s = sights[i];
                int256 near = s.range > NEAREST ? s.range : NEAREST;
                int256 off = s.log - (s.ux * x + s.uy * y) / near;
                int256 square = (off * off) >> UNIT;
                left += square;
                if (square > most) (most, worst) = (square, i);
            }
        }
    }

    /// @dev One may be dropped, from five on. So whether one was is all there is to count.
    function _mayDrop(uint256 provers, uint256 dropped) private pure returns (bool) {
        return provers >= 5 && dropped == 0;
    }

    function _limit(Limits memory limits, uint256 provers, uint256 dropped) private pure returns (int256) {
        unchecked {
            uint256 index = provers - (dropped == 0 ? 3 : 4);
            return int256(uint256(uint32(index < 8 ? limits.low >> (32 * index) : limits.high >> (32 * (index - 8)))));
        }
    }

    function _within(int256 v) private pure returns (int256) {
        return v > LARGEST ? LARGEST : v < -LARGEST ? -LARGEST : v;
    }

    /// @dev As a number of 64 bits, the nearest there is.
    function _whole(int256 v) private pure returns (uint256) {
        return v <= 0 ? 0 : v > int256(uint256(type(uint64).max)) ? type(uint64).max : uint256(v);
    }

    /// @dev ln(a/b), in 2^-20, of two numbers from 1 to 2^22: the ratio's square, halved and squared bit by bit.
    function _logRatio(uint256 a, uint256 b) private pure returns (int256) {
        unchecked {
            uint256 ratio = ((a * a) << RATIO) / (b * b);
            uint256 whole = _log2(ratio);
            ratio = whole >= RATIO ? ratio >> (whole - RATIO) : ratio << (RATIO - whole);
            uint256 fraction = 0;
            for (uint256 i = 0; i < UNIT; ++i) {
                ratio = (ratio * ratio) >> RATIO;
                uint256 bit = ratio >> (RATIO + 1);
                fraction = (fraction << 1) | bit;
                ratio >>= bit;
            }
            int256 log = ((int256(whole) - int256(RATIO)) << UNIT) + int256(fraction);
            return (log * LN_2) >> (UNIT + 1);
        }
    }

    /// @dev The place of the highest bit of a number below 2^128; zero for zero.
    function _log2(uint256 v) private pure returns (uint256 place) {
        unchecked {
            if (v >> 64 != 0) (v, place) = (v >> 64, 64);
            if (v >> 32 != 0) (v, place) = (v >> 32, place + 32);
            if (v >> 16 != 0) (v, place) = (v >> 16, place + 16);
            if (v >> 8 != 0) (v, place) = (v >> 8, place + 8);
            if (v >> 4 != 0) (v, place) = (v >> 4, place + 4);
            if (v >> 2 != 0) (v, place) = (v >> 2, place + 2);
            if (v >> 1 != 0) ++place;
        }
    }

    /// @dev The root of a number below 2^45, rounded down: from within a factor of the root of two, each of Heron's steps
    /// doubles the digits.
    function _sqrt(uint256 v) private pure returns (uint256 root) {
        unchecked {
            if (v == 0) return 0;
            root = 1 << ((_log2(v) + 1) >> 1);
            for (uint256 i = 0; i < 5; ++i) root = (root + v / root) >> 1;
            if (root > v / root) --root;
        }
    }
}
