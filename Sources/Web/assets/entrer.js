// The way in: the token comes in the address's fragment, works once, and is swapped for a session.
import { t } from "./strings.js";

for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
document.title = t("entrer.title");
const message = document.getElementById("message");
const token = location.hash.slice(1);
history.replaceState(null, "", location.pathname);

if (!token) {
  message.textContent = t("entrer.none");
} else {
  try {
    const answer = await fetch("/entrer", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }),
    });
    if (answer.ok) {
      sessionStorage.setItem("page", (await answer.json()).page);
      location.replace("/");
    } else {
      message.textContent = t("entrer.refused");
    }
  } catch {
    message.textContent = t("problem.network");
  }
}
