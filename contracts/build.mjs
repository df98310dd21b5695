// Compiles the contracts with the pinned soljson into artifacts/*.json, which are committed: the Rust build reads only
// those files. `--check` compiles again and fails unless the committed files are the same to the byte.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const solc = createRequire(import.meta.url)('solc');
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
/** The contracts, and one that is only measured beside ours. */
export const SOURCES = ['src/Provider.sol', 'src/TimeOfUse.sol', 'test/NaiveKMeans.sol'];
const nameOf = (source) => source.replace(/.*\/(.*)\.sol/, '$1');
const artifactOf = (source) => `artifacts/${nameOf(source)}.json`;

export function compile(source) {
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
  const contract = output.contracts[source][nameOf(source)];
  const artifact = {
    contract: nameOf(source),
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

/** The sources whose artefacts are not what they compile to. */
export function stale() {
  return SOURCES.filter((source) => compile(source) !== readFileSync(here(artifactOf(source)), 'utf8'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--check')) {
    for (const source of stale()) {
      console.error(`${artifactOf(source)} is not what ${source} compiles to: run \`npm run build\``);
      process.exitCode = 1;
    }
  } else {
    for (const source of SOURCES) {
      const text = compile(source);
      writeFileSync(here(artifactOf(source)), text);
      const { deployedBytecode } = JSON.parse(text);
      console.log(`${artifactOf(source)} written: ${deployedBytecode.length / 2 - 1} bytes of code`);
    }
  }
}
