// A foreign wallet: whatever ethers needs of a chain to show it, to write to it and to follow it, asked of the chain at the
// URL. Prints one line for every JSON-RPC method that was called, and ends with 1 if an answer is wrong.
//   node test/methods.mjs URL PROVIDER_ADDRESS KEYFILE
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Contract, JsonRpcProvider, Wallet, id, keccak256 } from 'ethers';

const [url, address, keyFile] = process.argv.slice(2);
if (keyFile === undefined) {
  console.error('usage: node test/methods.mjs URL PROVIDER_ADDRESS KEYFILE');
  process.exit(64);
}
const { abi } = JSON.parse(readFileSync(fileURLToPath(new URL('../artifacts/Provider.json', import.meta.url)), 'utf8'));
const rpc = new JsonRpcProvider(url, undefined, { cacheTimeout: -1, pollingInterval: 50, batchMaxCount: 1 });
const called = new Set();
rpc.on('debug', ({ action, payload }) => {
  if (action === 'sendRpcPayload') for (const { method } of [payload].flat()) called.add(method);
});
try {
  const wallet = new Wallet(readFileSync(keyFile, 'utf8').trim(), rpc);
  const provider = new Contract(address, abi, wallet);
  const unit = await provider.weiPerUnit();
  const { chainId } = await rpc.getNetwork();
  assert.ok((await rpc.getBalance(wallet.address)) > 0n);
  assert.notEqual(await rpc.getCode(address), '0x');
  assert.equal((await rpc.getStorage(address, 0)).length, 66);
  const { gasPrice, maxFeePerGas } = await rpc.getFeeData();
  assert.ok(gasPrice > 0n && maxFeePerGas >= gasPrice);

  // As a wallet sends: what it leaves out is estimated and filled in. Once of each kind.
  const nonce = await wallet.getNonce('pending');
  for (const type of [2, 1, 0]) {
    const sent = await provider.deposit(1, { value: unit * 7n, type, ...(type === 2 ? {} : { gasPrice: gasPrice * 2n }) });
    const receipt = await sent.wait(1, 30_000);
    assert.deepEqual([receipt.status, receipt.type, sent.type], [1, type, type]);
    const seen = await rpc.getTransaction(sent.hash);
    assert.deepEqual([seen.from, seen.to, seen.value, seen.chainId], [wallet.address, address, unit * 7n, chainId]);
  }
  assert.equal(await wallet.getNonce('latest'), nonce + 3);

  const head = await rpc.getBlock('latest', true);
  assert.equal((await rpc.getBlock(head.hash)).number, head.number);
  assert.equal(head.prefetchedTransactions.length, 1);
  const [hash] = head.transactions;
  const number = '0x' + head.number.toString(16);
  assert.equal((await rpc.send('eth_getBlockReceipts', [number]))[0].transactionHash, hash);
  assert.equal(await rpc.send('eth_getBlockTransactionCountByHash', [head.hash]), '0x1');
  assert.equal(await rpc.send('eth_getBlockTransactionCountByNumber', ['latest']), '0x1');
  assert.equal((await rpc.send('eth_getTransactionByBlockNumberAndIndex', [number, '0x0'])).hash, hash);
  assert.equal((await rpc.send('eth_getTransactionByBlockHashAndIndex', [head.hash, '0x0'])).hash, hash);
  assert.equal(await rpc.send('eth_getTransactionByBlockHashAndIndex', [head.hash, '0x1']), null);
  assert.equal(await rpc.send('eth_getUncleCountByBlockNumber', [number]), '0x0');
  assert.equal((await rpc.send('eth_feeHistory', ['0x3', 'latest', [50]])).reward.length, 3);
  assert.equal(await rpc.send('web3_sha3', ['0x01']), keccak256('0x01'));
  assert.equal(await rpc.send('net_version', []), String(chainId));
  assert.equal(await rpc.send('eth_syncing', []), false);
  assert.deepEqual(await rpc.send('eth_accounts', []), []);

  const deposits = await provider.queryFilter(provider.filters.Deposited(1), 0, 'latest');
  assert.equal(deposits.length, 3);
  // A wallet shows why a call would fail, by the contract's own name for it.
  await assert.rejects(provider.deposit.estimateGas(99, { value: unit }), (e) => provider.interface.parseError(e.data)?.name === 'NoSuchAccount');
  await assert.rejects(rpc.send('evm_mine', []), (e) => /does not exist/.test(e.error?.message ?? e.message));
  assert.equal(deposits[0].topics[0], id('Deposited(uint32,address,uint256)'));
  for (const method of [...called].sort()) console.log(method);
} catch (e) {
  console.error(e);
  process.exitCode = 1;
} finally {
  rpc.destroy();
}
