// Seeds to latent vectors, as fastgan/seeds.py states it: Philox4x64-10 and Box-Muller.

const WORD = (1n << 64n) - 1n;
const TO_UNIT = 2 ** -53;

/** Philox4x64-10 (Salmon et al. 2011): four 64-bit words of a block, for a counter below 2^64 and a key of two words. */
function philoxBlock(counter, seed, stream) {
  let [x0, x1, x2, x3] = [counter, 0n, 0n, 0n];
  let [k0, k1] = [seed, stream];
  for (let round = 0; round < 10; round++) {
    const p0 = 0xd2e7470ee14c6c93n * x0;
    const p1 = 0xca5a826395121157n * x2;
    [x0, x1, x2, x3] = [(p1 >> 64n) ^ x1 ^ k0, p1 & WORD, (p0 >> 64n) ^ x3 ^ k1, p0 & WORD];
    k0 = (k0 + 0x9e3779b97f4a7c15n) & WORD;
    k1 = (k1 + 0xbb67ae8584caa73bn) & WORD;
  }
  return [x0, x1, x2, x3];
}

/** The upper 53 bits of a word, exact in a float64. */
const upperBits = (word) => Number(word >> 11n);

/** Standard normal z of each seed (BigInt, 0 to 2^64 - 1): Float32Array [n * zDim], row by row. */
export function latents(seeds, zDim) {
  const z = new Float32Array(seeds.length * zDim);
  seeds.forEach((seed, row) => {
    for (let k = 0; k < zDim; k += 4) {
      const words = philoxBlock(BigInt(k / 4 + 1), seed, 0n).map(upperBits); // the first block is number 1
      for (let pair = 0; pair < 4; pair += 2) {
        const radius = Math.sqrt(-2 * Math.log((words[pair] + 1) * TO_UNIT));
        const angle = 2 * Math.PI * (words[pair + 1] * TO_UNIT);
        const values = [radius * Math.cos(angle), radius * Math.sin(angle)];
        values.forEach((value, i) => {
          if (k + pair + i < zDim) z[row * zDim + k + pair + i] = value; // the store rounds to float32
        });
      }
    }
  });
  return z;
}
