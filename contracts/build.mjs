// Compiles the contracts of src/ with the pinned soljson into artifacts/, which is committed: the Rust build reads only
// those files. `--check` compiles again and fails unless the committed files are the same to the byte.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const solc = createRequire(import.meta.url)('solc');
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The contracts that are deployed. */
export const CONTRACTS = ['Provider', 'Witness'];
const path = (name) => here(`artifacts/${name}.json`);

/** The text of a contract's artefact. */
export function compile(name) {
  const source = `src/${name}.sol`;
  const content = readFileSync(here(source), 'utf8');
  const settings = {
    evmVersion: 'cancun',
    viaIR: true,
    optimizer: { enabled: true, runs: 100000 },
    metadata: { bytecodeHash: 'none', appendCBOR: false },
  };
  const outputSelection = { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object', 'evm.methodIdentifiers'] } };
  const input = { language: 'Solidity', sources: { [source]: { content } }, settings: { ...settings, outputSelection } };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  for (const e of output.errors ?? []) console.error(e.formattedMessage);
  if ((output.errors ?? []).length > 0) throw new Error('the compiler had something to say');
  const contract = output.contracts[source][name];
  const artifact = {
    contract: name,
    source,
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

/** Names of artefacts that are not what the sources compile to. */
export function stale() {
  return CONTRACTS.filter((name) => compile(name) !== readFileSync(path(name), 'utf8'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--check')) {
    const old = stale();
    for (const name of old) console.error(`artifacts/${name}.json is not what src/${name}.sol compiles to: run \`npm run build\``);
    if (old.length > 0) process.exit(1);
    console.log('the artefacts are what the sources compile to');
  } else {
    for (const name of CONTRACTS) {
      const text = compile(name);
      writeFileSync(path(name), text);
      const { deployedBytecode } = JSON.parse(text);
      console.log(`artifacts/${name}.json written: ${deployedBytecode.length / 2 - 1} bytes of code`);
    }
  }
}
