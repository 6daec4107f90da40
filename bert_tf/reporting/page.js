// Shows the examples that have the chosen classes and hold the words looked for.
for (const form of document.querySelectorAll("form.filter")) {
  const items = [...document.getElementById(form.dataset.list).children];
  const texts = items.map((item) => item.textContent.toLowerCase());
  const count = form.querySelector("output");
  const show = () => {
    const words = form.elements.words.value.toLowerCase();
    const chosen = [...form.querySelectorAll("select")].filter((select) => select.value !== "");
    let shown = 0;
    items.forEach((item, number) => {
      const fits = chosen.every((select) => item.dataset[select.name] === select.value);
      item.hidden = !(fits && texts[number].includes(words));
      shown += !item.hidden;
    });
    count.value = `${shown} of ${items.length} shown`;
  };
  form.hidden = false;
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
}
