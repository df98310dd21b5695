// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import { IProvider } from "../Interfaces.sol";

/// A token as most are.
contract Standard is ERC20 {
    constructor() ERC20("Standard", "STD") {}

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// Keeps a hundredth of each transfer, as some do.
contract TakesAPart is Standard {
    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from != address(0) && to != address(0)) super._update(to, address(0), amount / 100);
    }
}

/// Says false and moves nothing, where the standard wants a revert.
contract SaysFalse is Standard {
    bool public refuses = true;

    function setRefuses(bool refuses_) external {
        refuses = refuses_;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return refuses ? false : super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return refuses ? false : super.transferFrom(from, to, amount);
    }
}

/// Says true and moves nothing.
contract Lies is Standard {
    function transferFrom(address, address, uint256) public pure override returns (bool) {
        return true;
    }
}

/// From before the standard was agreed on: transfers return nothing. The largest dollar token is one.
contract SaysNothing {
    mapping(address who => uint256) public balanceOf;
    mapping(address who => mapping(address spender => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// Asks the payee, as ERC-777 does, or the payer before it is debited.
interface ICalled {
    function called() external;
}

contract CallsBack is Standard {
    function _update(address from, address to, uint256 amount) internal override {
        if (from.code.length != 0 && from != msg.sender) ICalled(from).called();
        super._update(from, to, amount);
        if (to.code.length != 0 && to != msg.sender) ICalled(to).called();
    }
}

/// A holder that calls the book again whenever money moves from or to it, with whatever it was told to try.
contract Greedy is ICalled {
    IProvider private immutable PROVIDER;
    bytes[] private _tries;
    uint256 public calls;
    uint256 public succeeded;

    constructor(IProvider provider) {
        PROVIDER = provider;
    }

    receive() external payable {
        _again();
    }

    function called() external {
        _again();
    }

    function plan(bytes calldata data) external {
        _tries.push(data);
    }

    function run(address to, bytes calldata data, uint256 wei_) external returns (bool done) {
        (done, ) = to.call{ value: wei_ }(data);
    }

    function _again() private {
        ++calls;
        for (uint256 i = 0; i < _tries.length; ++i) {
            (bool done, ) = address(PROVIDER).call(_tries[i]);
            if (done) ++succeeded;
        }
    }
}
