// A foreign wallet: ethers opens a keystore of ours, prints its address, and writes the same key as a keystore of its own.
//   node test/keystore.mjs KEYSTORE PASSWORDFILE NEW_KEYSTORE
import { readFileSync, writeFileSync } from 'node:fs';
import { Wallet, encryptKeystoreJsonSync } from 'ethers';

const [keystore, passwordFile, made] = process.argv.slice(2);
if (made === undefined) {
  console.error('usage: node test/keystore.mjs KEYSTORE PASSWORDFILE NEW_KEYSTORE');
  process.exit(64);
}
const password = readFileSync(passwordFile, 'utf8').replace(/\r?\n$/, '');
const { address, privateKey } = Wallet.fromEncryptedJsonSync(readFileSync(keystore, 'utf8'), password);
// Of ethers' usual cost a thirty-second: its scrypt is JavaScript.
writeFileSync(made, encryptKeystoreJsonSync({ address, privateKey }, password, { scrypt: { N: 4096, r: 8, p: 1 } }));
console.log(address);
