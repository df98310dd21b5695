// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import { IRegistry } from "./IRegistry.sol";
import { Owned } from "./Owned.sol";

/// @title The register of a grid operator: gateways, connection points, meters and switches
/// @notice The operator (the owner) says who is a gateway or a prover, which meter stands at which connection point, which
/// provider feeds it, and which gateway switches it. Providers order, gateways attest, everybody can read.
/// @dev A connection point is named by 32 bytes, such as the hash of its metering point number. A provider is a contract,
/// whose owner and settlers may order for the points that it feeds: asked of the contract itself, so that there is no
/// second list of them.
contract Operator is IRegistry, Owned {
    /// @dev One word. Whatever a gateway attests is one read and one write.
    struct Point {
        address gateway;
        uint32 account;
        /// Seconds since 1970 of the last attestation; zero if there is none.
        uint40 attestedAt;
        /// Whether the switch is closed, that is, the customer supplied, by the last attestation.
        bool closed;
        /// Whether it is to be open, by the last order.
        bool cutOff;
    }

    struct Meter {
        bytes32 point;
        /// Millimetres from the site's origin: as far as 2,147 km, and finer than any ranging.
        int32 east;
        int32 north;
        int32 up;
        /// Seconds since 1970; zero if the key is no meter's.
        uint40 since;
        /// The meter's import register less the account's, in Wh, when the meter was put in.
        int64 offset;
    }

    /// @notice May read, switch and attest.
    uint8 public constant GATEWAY = 1;
    /// @notice May vouch for positions and dispatches.
    uint8 public constant PROVER = 2;

    // The EIP-712 types are what they are.
    // solhint-disable gas-small-strings
    bytes32 private constant DOMAIN =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant READING = keccak256("Reading(uint64 time,uint64 imported,uint64 exported)");
    // solhint-enable gas-small-strings
    /// @dev Half of the group's order: of the two signatures (r, s) and (r, -s) only the lower is taken.
    uint256 private constant HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;

    /// @notice What an address may do: GATEWAY and PROVER, added up.
    mapping(address who => uint8) public rolesOf;
    /// @notice A connection point.
    mapping(bytes32 id => Point) public pointOf;
    /// @notice The provider that feeds a connection point.
    mapping(bytes32 id => address) public providerOf;
    /// @notice The key of the meter of a connection point.
    mapping(bytes32 id => address) public meterKeyOf;
    mapping(address key => Meter) private _meters;
    mapping(address provider => mapping(uint32 account => bytes32 id)) private _fed;
    uint32 private _fee;
    address private _treasury;

    /// @notice An address may do something, or no longer.
    /// @param who the address.
    /// @param roles all that it may do now: GATEWAY and PROVER, added up.
    event RolesSet(address indexed who, uint8 roles);
    /// @notice A connection point is fed by this provider and switched by this gateway.
    /// @param point the connection point.
    /// @param provider who feeds it; zero for nobody.
    /// @param account the number of the account at the provider.
    /// @param gateway who switches and attests.
    event Routed(bytes32 indexed point, address indexed provider, uint32 account, address indexed gateway);
    /// @notice A meter was put in.
    /// @param point where.
    /// @param key its key.
    /// @param offset its import register less the account's, in Wh.
    event MeterPut(bytes32 indexed point, address indexed key, int64 offset);
    /// @notice A meter was taken out.
    /// @param point where it stood.
    /// @param key its key.
    event MeterTaken(bytes32 indexed point, address indexed key);
    /// @notice A connection point is to be cut off, or supplied again.
    /// @param point the connection point.
    /// @param gateway who is to do it.
    /// @param by who orders.
    /// @param cutOff whether it is to be cut off.
    event Ordered(bytes32 indexed point, address indexed gateway, address indexed by, bool cutOff);
    /// @notice A gateway read the position of a switch back.
    /// @param point the connection point.
    /// @param gateway who.
    /// @param closed whether the customer is supplied.
    event Attested(bytes32 indexed point, address indexed gateway, bool closed);
    /// @notice The grid's fee changed.
    /// @param fee minor units per Wh.
    /// @param treasury who may claim it.
    event NetworkFeeSet(uint32 fee, address treasury);

    error BadRoles();
    error BadPoint();
    error NotGateway();
    error NotItsGateway(bytes32 point);
    error MayNotOrder(bytes32 point);
    error AccountFed(address provider, uint32 account);
    error KeyTaken(address key);
    error NoMeter();
    error BadSignature();
    error ReadingBeforeMeter(uint64 since);
    error ReadingInFuture(uint64 time);

    /// @notice Says what an address may do.
    /// @param who the address.
    /// @param roles GATEWAY and PROVER, added up; zero for nothing.
    function setRoles(address who, uint8 roles) external onlyOwner {
        if (roles > GATEWAY | PROVER) revert BadRoles();
        rolesOf[who] = roles;
        emit RolesSet(who, roles);
    }

    /// @notice Routes energy: says which provider feeds a point, under which account, and which gateway switches it. What
    /// was ordered and attested stays.
    /// @param point the connection point.
    /// @param provider the provider's contract; zero for nobody.
    /// @param account the account there, which feeds no other point.
    /// @param gateway an address with that role; zero for nobody.
    function route(bytes32 point, address provider, uint32 account, address gateway) external onlyOwner {
        if (point == 0) revert BadPoint();
        if (gateway != address(0) && rolesOf[gateway] & GATEWAY == 0) revert NotGateway();
        Point storage p = pointOf[point];
        delete _fed[providerOf[point]][p.account];
        if (provider != address(0)) {
            if (_fed[provider][account] != 0) revert AccountFed(provider, account);
            _fed[provider][account] = point;
        }
        providerOf[point] = provider;
        (p.gateway, p.account) = (gateway, account);
        emit Routed(point, provider, account, gateway);
    }

    /// @notice Puts a meter in, in the place of the one that stood there. Readings count from now on.
    /// @param point the connection point.
    /// @param key the address of the meter's signing key; zero only takes the old meter out.
    /// @param east millimetres from the site's origin.
    /// @param north millimetres from the site's origin.
    /// @param up millimetres from the site's origin.
    /// @param offset the meter's import register less the account's, in Wh, at this moment.
    function putMeter(
        bytes32 point,
        address key,
        int32 east,
        int32 north,
        int32 up,
        int64 offset
    ) external onlyOwner {
        if (point == 0) revert BadPoint();
        address old = meterKeyOf[point];
        if (old != address(0)) {
            delete _meters[old];
            emit MeterTaken(point, old);
        }
        meterKeyOf[point] = key;
        if (key == address(0)) return;
        if (_meters[key].since != 0) revert KeyTaken(key);
        _meters[key] = Meter(point, east, north, up, uint40(block.timestamp), offset);
        emit MeterPut(point, key, offset);
    }

    /// @notice Sets what the grid takes for carrying energy. Each provider has its own upper bound.
    /// @param fee minor units per Wh.
    /// @param treasury who may claim it; zero if nothing is taken.
    function setNetworkFee(uint32 fee, address treasury) external onlyOwner {
        (_fee, _treasury) = (fee, treasury);
        emit NetworkFeeSet(fee, treasury);
    }

    /// @notice Orders a point cut off, or supplied again: by the operator, and by the owner and the settlers of the
    /// provider that feeds it. The gateway obeys, or not, by its own rules of safety; what it did, it attests.
    /// @param point the connection point.
    /// @param cutOff whether to cut it off.
    function order(bytes32 point, bool cutOff) external {
        if (!mayOrder(msg.sender, point)) revert MayNotOrder(point);
        pointOf[point].cutOff = cutOff;
        emit Ordered(point, pointOf[point].gateway, msg.sender, cutOff);
    }

    /// @notice Says which position of a switch was read back; by its gateway only.
    /// @param point the connection point.
    /// @param closed whether the customer is supplied.
    function attest(bytes32 point, bool closed) external {
        _attest(point, closed);
    }

    /// @notice The same for many points, or none.
    /// @param points the connection points.
    /// @param closed one bit each, the first in the lowest; at most 256.
    function attestMany(bytes32[] calldata points, uint256 closed) external {
        for (uint256 i = 0; i < points.length; ++i) _attest(points[i], (closed >> i) & 1 == 1);
    }

    /// @inheritdoc IRegistry
    function isGateway(address who) external view returns (bool) {
        return rolesOf[who] & GATEWAY != 0;
    }

    /// @inheritdoc IRegistry
    function isProver(address who) external view returns (bool) {
        return rolesOf[who] & PROVER != 0;
    }

    /// @inheritdoc IRegistry
    function meterAt(
        address key
    ) external view returns (bool active, bytes32 point, int32 east, int32 north, int32 up) {
        Meter memory m = _meters[key];
        return (m.since != 0, m.point, m.east, m.north, m.up);
    }

    /// @inheritdoc IRegistry
    function meterOf(address provider, uint32 account) external view returns (address) {
        return meterKeyOf[_fed[provider][account]];
    }

    /// @inheritdoc IRegistry
    function networkFee() external view returns (uint32 fee, address treasury) {
        return (_fee, _treasury);
    }

    /// @inheritdoc IRegistry
    function importedBy(
        address provider,
        uint32 account,
        Reading calldata reading,
        bytes calldata signature
    ) external view returns (uint256) {
        address key = meterKeyOf[_fed[provider][account]];
        if (key == address(0)) revert NoMeter();
        Meter memory m = _meters[key];
        if (reading.time > block.timestamp) revert ReadingInFuture(reading.time);
        if (reading.time < m.since) revert ReadingBeforeMeter(m.since);
        if (_signer(readingHash(reading), signature) != key) revert BadSignature();
        int256 imported = int256(uint256(reading.imported)) - m.offset;
        return imported > 0 ? uint256(imported) : 0;
    }

    /// @notice Whether an address may order a point cut off.
    /// @param who the address.
    /// @param point the connection point.
    function mayOrder(address who, bytes32 point) public view returns (bool) {
        if (who == owner) return true;
        address provider = providerOf[point];
        return provider.code.length != 0 && (IStaffed(provider).isSettler(who) || IStaffed(provider).owner() == who);
    }

    /// @notice What a meter signs: the EIP-712 hash of a reading. It names this chain and this contract.
    /// @param reading what the meter says.
    function readingHash(Reading calldata reading) public view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN, keccak256("Microgrid meter"), keccak256("1"), block.chainid, address(this))
        );
        bytes32 said = keccak256(abi.encode(READING, reading.time, reading.imported, reading.exported));
        return keccak256(abi.encodePacked(hex"1901", domain, said));
    }

    function _attest(bytes32 point, bool closed) private {
        Point memory p = pointOf[point];
        if (p.gateway != msg.sender || rolesOf[msg.sender] & GATEWAY == 0) revert NotItsGateway(point);
        (p.closed, p.attestedAt) = (closed, uint40(block.timestamp));
        pointOf[point] = p;
        emit Attested(point, msg.sender, closed);
    }

    /// @dev Zero if the signature is none.
    function _signer(bytes32 hash, bytes calldata signature) private pure returns (address) {
        if (signature.length != 65) return address(0);
        (bytes32 r, bytes32 s) = (bytes32(signature[:32]), bytes32(signature[32:64]));
        if (uint256(s) > HALF_ORDER) return address(0);
        return ecrecover(hash, uint8(signature[64]), r, s);
    }
}

/// @title What the registry asks a provider
/// @notice Who may order for the points that it feeds.
interface IStaffed {
    /// @notice Whether an address may settle.
    /// @param who the address.
    function isSettler(address who) external view returns (bool);

    /// @notice The owner.
    function owner() external view returns (address);
}
