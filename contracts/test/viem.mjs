// A second foreign client, which shares no code with ethers: deploys, reads, pays in and follows what happened, as a page that
// is written with viem does, at the chain at the URL. Prints one line for every JSON-RPC method that was called, and ends
// with 1 if an answer is wrong.
//   node test/viem.mjs URL PROVIDER_ADDRESS KEYFILE
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { BaseError, ContractFunctionRevertedError, createPublicClient, createWalletClient, defineChain, getAddress, http, parseEventLogs } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';

const [url, address, keyFile] = process.argv.slice(2);
if (keyFile === undefined) {
  console.error('usage: node test/viem.mjs URL PROVIDER_ADDRESS KEYFILE');
  process.exit(64);
}
const artefact = (name) => JSON.parse(readFileSync(fileURLToPath(new URL(`../artifacts/${name}.json`, import.meta.url)), 'utf8'));
const called = new Set();
const transport = http(url, {
  retryCount: 0,
  onFetchRequest: async (request) => {
    for (const { method } of [await request.clone().json()].flat()) called.add(method);
  },
});

try {
  const id = await createPublicClient({ transport }).getChainId();
  const chain = defineChain({ id, name: 'street', nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 }, rpcUrls: { default: { http: [url] } } });
  const account = privateKeyToAccount(`0x${readFileSync(keyFile, 'utf8').trim().replace(/^0x/, '')}`);
  const reader = createPublicClient({ chain, transport, pollingInterval: 50, cacheTime: 0 });
  const wallet = createWalletClient({ chain, transport, account });
  const { abi } = artefact('Provider');
  const provider = { address, abi };
  assert.ok((await reader.getBalance({ address: account.address })) > 0n);
  assert.equal(await reader.getStorageAt({ address, slot: '0x0' }).then((word) => word.length), 66);

  // A contract of its own, with everything that it leaves out filled in by viem.
  const operator = artefact('Operator');
  const made = await reader.waitForTransactionReceipt({ hash: await wallet.deployContract({ abi: operator.abi, bytecode: operator.bytecode }) });
  assert.equal(made.status, 'success');
  assert.equal(await reader.getCode({ address: made.contractAddress }), operator.deployedBytecode);
  const registry = { address: made.contractAddress, abi: operator.abi };
  assert.equal(await reader.readContract({ ...registry, functionName: 'owner' }), account.address);
  const role = await wallet.writeContract({ ...registry, functionName: 'setRoles', args: [account.address, 3] });
  assert.equal((await reader.waitForTransactionReceipt({ hash: role })).status, 'success');
  assert.equal(await reader.readContract({ ...registry, functionName: 'isProver', args: [account.address] }), true);

  // Money, in a transaction of each kind.
  const unit = await reader.readContract({ ...provider, functionName: 'weiPerUnit' });
  const fees = await reader.estimateFeesPerGas();
  assert.ok(fees.maxFeePerGas > 0n && fees.maxFeePerGas >= fees.maxPriorityFeePerGas);
  const gasPrice = await reader.getGasPrice();
  const [before] = await reader.readContract({ ...provider, functionName: 'account', args: [1] });
  const nonce = await reader.getTransactionCount({ address: account.address, blockTag: 'pending' });
  const deposit = { ...provider, functionName: 'deposit', args: [1], value: unit * 7n, account };
  const gas = await reader.estimateContractGas(deposit);
  let last;
  for (const [type, price] of [['eip1559', {}], ['eip2930', { gasPrice: gasPrice * 2n }], ['legacy', { gasPrice: gasPrice * 2n }]]) {
    const { request } = await reader.simulateContract({ ...deposit, type, ...price });
    last = await reader.waitForTransactionReceipt({ hash: await wallet.writeContract(request), confirmations: 1 });
    assert.deepEqual([last.status, last.type, last.from, last.to], ['success', type, account.address.toLowerCase(), address.toLowerCase()]);
    assert.ok(last.gasUsed <= gas && last.effectiveGasPrice > 0n);
    const [said] = parseEventLogs({ abi, eventName: 'Deposited', logs: last.logs });
    assert.deepEqual([said.args.number, said.args.from, said.args.units], [1, account.address, 7n]);
    const seen = await reader.getTransaction({ hash: last.transactionHash });
    assert.deepEqual([seen.type, seen.value, seen.chainId], [type, unit * 7n, id]);
  }
  assert.equal(await reader.getTransactionCount({ address: account.address }), nonce + 3);
  const [after] = await reader.readContract({ ...provider, functionName: 'account', args: [1] });
  assert.equal(after - before, 21n);

  // What happened, and blocks.
  const filter = { ...provider, eventName: 'Deposited', args: { number: 1 }, fromBlock: 'earliest', toBlock: 'latest' };
  const deposits = await reader.getContractEvents(filter);
  assert.equal(deposits.filter((e) => e.args.from === account.address).length, 3);
  assert.equal((await reader.getLogs({ address, blockHash: last.blockHash }))[0].transactionHash, last.transactionHash);
  const head = await reader.getBlock({ includeTransactions: true });
  assert.equal(head.transactions[0].hash, last.transactionHash);
  assert.equal((await reader.getBlock({ blockHash: head.hash })).number, await reader.getBlockNumber());
  assert.equal(await reader.getBlockTransactionCount(), 1);
  assert.equal((await reader.getFeeHistory({ blockCount: 2, rewardPercentiles: [50] })).reward.length, 2);
  assert.ok((await reader.getTransactionConfirmations({ hash: last.transactionHash })) >= 1n);

  // A refusal comes by the contract's own name for it, from a simulation and from an estimate.
  const refused = { ...deposit, args: [99] };
  for (const attempt of [reader.simulateContract(refused), reader.estimateContractGas(refused)]) {
    const why = await attempt.then(() => assert.fail('account 99 does not exist'), (e) => e);
    assert.ok(why instanceof BaseError, why);
    assert.equal(why.walk((e) => e instanceof ContractFunctionRevertedError)?.data?.errorName, 'NoSuchAccount');
  }
  // Typed data is signed for this chain; and a page that waits for events asks again and again.
  const typed = {
    domain: { name: 'Microgrid meter', version: '1', chainId: id, verifyingContract: registry.address },
    types: { Reading: [{ name: 'time', type: 'uint64' }, { name: 'imported', type: 'uint64' }, { name: 'exported', type: 'uint64' }] },
    primaryType: 'Reading',
    message: { time: 1n, imported: 2n, exported: 3n },
  };
  assert.ok(await reader.verifyTypedData({ ...typed, address: account.address, signature: await wallet.signTypedData(typed) }));
  let stop;
  const heard = new Promise((onLogs, onError) => {
    stop = reader.watchContractEvent({ ...provider, eventName: 'Deposited', poll: true, onLogs, onError });
  });
  let waiting = true;
  const paying = (async () => {
    while (waiting) await reader.waitForTransactionReceipt({ hash: await wallet.writeContract(deposit) });
  })();
  const [event] = await heard;
  stop();
  waiting = false;
  await paying;
  assert.deepEqual([getAddress(event.address), event.args.units], [getAddress(address), 7n]);
  for (const method of [...called].sort()) console.log(method);
} catch (e) {
  console.error(e);
  process.exitCode = 1;
}
