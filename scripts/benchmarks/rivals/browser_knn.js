// Answer queries with the KNN classifier of browser teachable machines: a row number a line on stdin,
// a line with the milliseconds and the label on stdout.
const [folder, backend, size, k] = process.argv.slice(2);
const fs = require('fs'), path = require('path'), readline = require('readline');
const tf = require('@tensorflow/tfjs-core');
require('@tensorflow/tfjs-backend-' + backend);
const knn = require('@tensorflow-models/knn-classifier');
const width = Number(size);

function rows(name) {
  const raw = fs.readFileSync(path.join(folder, name));
  return new Float32Array(raw.buffer, raw.byteOffset, raw.length / 4);
}

async function main() {
  await tf.setBackend(backend);
  await tf.ready();
  const classifier = knn.create();
  const dataset = {};
  for (const [label, name] of JSON.parse(fs.readFileSync(path.join(folder, 'classes.json')))) {
    const values = rows(name);
    dataset[label] = tf.tensor2d(values, [values.length / width, width]);
  }
  classifier.setClassifierDataset(dataset);
  const queries = rows('queries');
  process.stdout.write('ready\n');
  for await (const line of readline.createInterface({input: process.stdin})) {
    const query = tf.tensor1d(queries.slice(Number(line) * width, (Number(line) + 1) * width));
    const begun = process.hrtime.bigint();
    const answer = await classifier.predictClass(query, Number(k));
    const milliseconds = Number(process.hrtime.bigint() - begun) / 1e6;
    query.dispose();
    process.stdout.write(milliseconds + ' ' + answer.label + '\n');
  }
}

main();
