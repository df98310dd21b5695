// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

/// @title k-means as it is usually written: Lloyd's steps over arrays in storage
/// @notice Only to be measured beside `TimeOfUse`: it is dear, it may stop short of the best ranges, and where it starts
/// decides where it ends.
contract NaiveKMeans {
    int256[] private _values;
    int256[] private _centroids;
    uint256[] private _labels;

    /// @notice Keeps the values and finds their clusters.
    /// @param clusters how many.
    /// @param values at least as many.
    function post(uint256 clusters, int256[] calldata values) external {
        delete _values;
        delete _labels;
        delete _centroids;
        (int256 low, int256 high) = (values[0], values[0]);
        for (uint256 i = 0; i < values.length; ++i) {
            _values.push(values[i]);
            _labels.push(clusters);
            if (values[i] < low) low = values[i];
            if (values[i] > high) high = values[i];
        }
        for (uint256 c = 0; c < clusters; ++c) _centroids.push(low + ((high - low) * int256(c)) / int256(clusters - 1));
        for (uint256 step = 0; step < 32 && _assign(); ++step) _move();
    }

    /// @notice The range of a slot.
    /// @param slot its place.
    /// @return label its range.
    function labelOf(uint256 slot) external view returns (uint256 label) {
        label = _labels[slot];
    }

    function _assign() private returns (bool moved) {
        for (uint256 i = 0; i < _values.length; ++i) {
            uint256 best = 0;
            for (uint256 c = 1; c < _centroids.length; ++c) {
                if (_distance(_values[i], _centroids[c]) < _distance(_values[i], _centroids[best])) best = c;
            }
            if (_labels[i] != best) {
                _labels[i] = best;
                moved = true;
            }
        }
    }

    function _move() private {
        for (uint256 c = 0; c < _centroids.length; ++c) {
            (int256 sum, int256 count) = (0, 0);
            for (uint256 i = 0; i < _values.length; ++i) {
                if (_labels[i] == c) (sum, count) = (sum + _values[i], count + 1);
            }
            if (count != 0) _centroids[c] = sum / count;
        }
    }

    function _distance(int256 a, int256 b) private pure returns (int256 distance) {
        distance = a < b ? b - a : a - b;
    }
}
