// Compiles src/Provider.sol with the pinned soljson into artifacts/Provider.json, which is committed: the Rust build
// reads only that file. `--check` compiles again and fails unless the committed file is the same to the byte.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const solc = createRequire(import.meta.url)('solc');
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const SOURCE = 'src/Provider.sol';
const ARTIFACT = here('artifacts/Provider.json');

export function compile() {
  const content = readFileSync(here(SOURCE), 'utf8');
  const settings = {
    evmVersion: 'cancun',
    viaIR: true,
    optimizer: { enabled: true, runs: 100000 },
    metadata: { bytecodeHash: 'none', appendCBOR: false },
  };
  const outputSelection = { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object', 'evm.methodIdentifiers'] } };
  const input = { language: 'Solidity', sources: { [SOURCE]: { content } }, settings: { ...settings, outputSelection } };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  for (const e of output.errors ?? []) console.error(e.formattedMessage);
  if ((output.errors ?? []).length > 0) throw new Error('the compiler had something to say');
  const contract = output.contracts[SOURCE].Provider;
  const artifact = {
    contract: 'Provider',
    source: SOURCE,
    sourceSha256: createHash('sha256').update(content).digest('hex'),
    compiler: solc.version(),
    settings,
    abi: contract.abi,
    methods: contract.evm.methodIdentifiers,
    bytecode: '0x' + contract.evm.bytecode.object,
    deployedBytecode: '0x' + contract.evm.deployedBytecode.object,
  };
  return JSON.stringify(artifact, null, 1) + '\n';
}

export function isCurrent() {
  return compile() === readFileSync(ARTIFACT, 'utf8');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--check')) {
    if (!isCurrent()) {
      console.error('artifacts/Provider.json is not what src/Provider.sol compiles to: run `npm run build`');
      process.exit(1);
    }
    console.log('artifacts/Provider.json is what src/Provider.sol compiles to');
  } else {
    const text = compile();
    writeFileSync(ARTIFACT, text);
    const { deployedBytecode } = JSON.parse(text);
    console.log(`artifacts/Provider.json written: ${deployedBytecode.length / 2 - 1} bytes of code`);
  }
}
