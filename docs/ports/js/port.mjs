// A port of subbit in JavaScript, by files: it answers the calls of a tree of vectors.
//
//     node docs/ports/js/port.mjs vectors
//     subbit check --outputs vectors
//
// It reads case.json and input.safetensors in each folder and writes answers.json. It has a few
// functions, in float64; all others are not implemented. docs/format.md has all forms.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

class Refusal extends Error {
  constructor(argument, expected) {
    super(argument);
    this.form = { kind: "argument", argument, expected, got: "something else" };
  }
}

// A safetensors file: the length of the header, the header in JSON, the elements.
function tensorsOf(path) {
  if (!existsSync(path)) return () => new DataView(new ArrayBuffer(0));
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, start));
  return (name) => {
    const [from, to] = header[name].data_offsets;
    return new DataView(bytes.buffer, bytes.byteOffset + start + from, to - from);
  };
}

const product = (shape) => shape.reduce((a, b) => a * b, 1);

function readerOf(tensors) {
  const elements = (form, width, take) =>
    Array.from({ length: product(form.shape) }, (_, i) => take(tensors(form.tensor), width * i));
  return {
    numbers(name, form, axes) {
      const single = typeof form === "number" && axes === undefined;
      const array = single ? { shape: [], data: [form] } : form;
      if (!single && (array?.dtype !== "F64" || (axes ?? array.shape.length) !== array.shape.length))
        throw new Refusal(name, "an array of numbers");
      const data = array.data ?? elements(array, 8, (view, at) => view.getFloat64(at, true));
      if (!data.length || !data.every((x) => Math.abs(x) <= 1e100))
        throw new Refusal(name, "finite numbers up to 1e100");
      return { shape: array.shape, data };
    },
    mask(name, form, shape) {
      if (form === null) return Array(product(shape)).fill(1);
      if (form.dtype !== "BOOL" || String(form.shape) !== String(shape))
        throw new Refusal(name, "a mask of the shape of the weights");
      return elements(form, 1, (view, at) => view.getUint8(at));
    },
  };
}

const option = (name, value, options) => {
  if (!options.includes(value)) throw new Refusal(name, `one of ${options}`);
  return value;
};
const array = (dtype, shape, data) => ({ dtype, shape, data: Array.from(data) });

// The mean of each row over its entries: Eq. (6), subbit.
function rowMeans({ shape: [n, k], data }, mask) {
  const means = [];
  for (let i = 0; i < n; i++) {
    let sum = 0, count = 0;
    for (let c = i * k; c < (i + 1) * k; c++) if (mask[c]) (sum += data[c]), count++;
    means.push(sum / Math.max(count, 1));
  }
  return array("F64", [n], means);
}

const FUNCTIONS = {
  sign({ x, zero }, read) {
    const { shape, data } = read.numbers("x", x);
    option("zero", zero, [0, 1]);
    return array("I8", shape, data.map((v) => (v > 0 ? 1 : v < 0 ? -1 : zero)));
  },
  masked_mean({ W, mask }, read) {
    const weights = read.numbers("W", W, 2);
    return rowMeans(weights, read.mask("mask", mask, weights.shape));
  },
  masked_scale({ W, mask, mean }, read) {
    const { shape, data } = read.numbers("W", W, 2);
    const entries = read.mask("mask", mask, shape);
    const center = mean === null ? null : read.numbers("mean", mean, 1);
    if (center && center.shape[0] !== shape[0]) throw new Refusal("mean", "one number per row");
    const from = (c) => (center ? center.data[Math.floor(c / shape[1])] : 0);
    return rowMeans({ shape, data: data.map((w, c) => Math.abs(w - from(c))) }, entries);
  },
  column_saliency({ S }, read) {
    const { shape: [n, k], data } = read.numbers("S", S, 2);
    const sums = Array(k).fill(0);
    for (let c = 0; c < n * k; c++) sums[c % k] += Math.abs(data[c]);
    return array("F64", [k], sums);
  },
  rank_columns({ scores }, read) {
    const { data } = read.numbers("scores", scores, 1);
    const order = data.map((_, j) => j).sort((i, j) => data[j] - data[i] || i - j);
    return array("I64", [order.length], order);
  },
  weight_error({ W, Q }, read) {
    const weights = read.numbers("W", W, 2), image = read.numbers("Q", Q, 2);
    if (String(image.shape) !== String(weights.shape)) throw new Refusal("Q", "the shape of W");
    return weights.data.reduce((sum, w, c) => sum + (w - image.data[c]) ** 2, 0);
  },
};
// `node port.mjs DIR wrong` is wrong on purpose: of equal columns the higher one comes first.
if (process.argv[3] === "wrong")
  FUNCTIONS.rank_columns = ({ scores }, read) => {
    const { data } = read.numbers("scores", scores, 1);
    const order = data.map((_, j) => j).sort((i, j) => data[j] - data[i] || j - i);
    return array("I64", [order.length], order);
  };

function answer(call, read) {
  const known = FUNCTIONS[call.function];
  if (!known) return { not_implemented: call.function };
  try {
    return { value: known(call.arguments, read) };
  } catch (error) {
    if (error instanceof Refusal) return { error: error.form };
    throw error;
  }
}

const folder = process.argv[2];
for (const path of readdirSync(join(folder, "v1"), { recursive: true })) {
  if (!path.endsWith("case.json")) continue;
  const own = join(folder, "v1", path, "..");
  const read = readerOf(tensorsOf(join(own, "input.safetensors")));
  const { calls } = JSON.parse(readFileSync(join(own, "case.json"), "utf8"));
  const answers = calls.map((call) => answer(call, read));
  writeFileSync(join(own, "answers.json"), JSON.stringify({ answers }));
}
writeFileSync(join(folder, "port.json"), JSON.stringify({ dtype: "float64" }));
