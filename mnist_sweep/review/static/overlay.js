// Boxes and masks over an image that a run logged. The client stores boxes as JSON, and a mask as an image of class numbers.
"use strict";
window.Review = window.Review || {};

// Return a frame with an image, its masks (addresses), and its boxes (addresses, or the JSON that would be there).
Review.overlaid = (image, boxes, masks, colour) => {
  const frame = Review.element("div", "overlaid");
  frame.appendChild(image);
  const ready = image.decode().catch(() => {}); // nothing is drawn over a missing image
  masks.forEach((address) => Review.mask(address, colour).then((canvas) => frame.appendChild(canvas), () => {}));
  boxes.forEach(async (given) => {
    const read = async (address) => ((answer) => (answer.ok ? answer.json() : {}))(await fetch(address));
    const [{ box_data: found = [], class_labels: labels = {} }] = await Promise.all([typeof given === "string" ? read(given) : given, ready]);
    frame.append(...found.map((box) => Review.box(box, labels, image, colour)).filter(Boolean));
  });
  return frame;
};

// Draw a box. Its position is in shares of the image or in pixels, given by corners or by middle and size.
Review.box = ({ position = {}, domain, class_id: id, box_caption: caption }, labels, image, colour) => {
  const [width, height] = domain === "pixel" ? [image.naturalWidth, image.naturalHeight] : [1, 1];
  const { middle, minX, maxX, minY, maxY } = position;
  const [x, y] = middle ? [middle[0] - position.width / 2, middle[1] - position.height / 2] : [minX, minY];
  const [w, h] = middle ? [position.width, position.height] : [maxX - minX, maxY - minY];
  const shares = [x / width, y / height, w / width, h / height];
  if (!shares.every(Number.isFinite)) return null;
  const box = Review.element("div", "box");
  [box.style.left, box.style.top, box.style.width, box.style.height] = shares.map((share) => `${100 * share}%`);
  box.style.borderColor = colour(id);
  box.title = String(caption ?? labels[id] ?? id ?? "");
  return box;
};

// Draw a mask: each class except 0, the background, has its own colour.
Review.mask = async (address, colour) => {
  const image = Object.assign(new Image(), { src: address });
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < pixels.data.length; i += 4) {
    const id = pixels.data[i];
    const rgb = [1, 3, 5].map((at) => parseInt(colour(id).slice(at, at + 2), 16));
    pixels.data.set([...rgb, id ? 120 : 0], i);
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
};
