// What ONNX Runtime for Node does not do with an .onnx file, done on its bytes: they are a protobuf message (onnx.proto3).

const [MODEL_GRAPH, MODEL_METADATA, GRAPH_INITIALIZER, TENSOR_NAME] = [7, 14, 5, 8];
const LENGTH_DELIMITED = 2;

/** A base-128 varint at `at`: [value, where it ends]. */
function varint(bytes, at) {
  let value = 0;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[at++];
    value += (byte & 127) * scale;
    if (byte < 128) return [value, at];
  }
}

function encodeVarint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Buffer.from([...bytes, value]);
}

/** The fields of a message: number, content (of strings and messages) and all their bytes, key included. */
function* fields(bytes) {
  for (let start = 0, end; start < bytes.length; start = end) {
    const [key, from] = varint(bytes, start);
    const type = key % 8;
    let content;
    if (type === LENGTH_DELIMITED) {
      const [length, begin] = varint(bytes, from);
      end = begin + length;
      content = bytes.subarray(begin, end);
    } else {
      end = { 0: () => varint(bytes, from)[1], 1: () => from + 8, 5: () => from + 4 }[type]();
    }
    yield { number: Math.floor(key / 8), content, bytes: bytes.subarray(start, end) };
  }
}

const text = (message, number) => [...fields(message)].find((field) => field.number === number)?.content.toString();

/** The metadata of a model, by key; ours start with "fastgan.". */
export function metadata(model) {
  const entries = [...fields(model)].filter((field) => field.number === MODEL_METADATA);
  return Object.fromEntries(entries.map(({ content }) => [text(content, 1), text(content, 2)]));
}

/**
 * The model without the defaults of these inputs, which a caller must then give.
 *
 * An input with a default is an initialiser of the same name that may be overridden. ONNX Runtime for Node (1.30) lists
 * and takes the inputs without default alone: any other that it is given, it ignores without a word.
 */
export function withoutDefaults(model, names) {
  const isDefault = ({ number, content }) => number === GRAPH_INITIALIZER && names.includes(text(content, TENSOR_NAME));
  const parts = [];
  for (const field of fields(model)) {
    if (field.number !== MODEL_GRAPH) {
      parts.push(field.bytes);
      continue;
    }
    const kept = [...fields(field.content)].filter((inner) => !isDefault(inner)).map((inner) => inner.bytes);
    const length = kept.reduce((sum, part) => sum + part.length, 0);
    parts.push(encodeVarint(MODEL_GRAPH * 8 + LENGTH_DELIMITED), encodeVarint(length), ...kept);
  }
  return Buffer.concat(parts);
}
