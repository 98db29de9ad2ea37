"use strict";
(() => {
  const script = document.currentScript;
  const airflow = window.parent !== window ? window.parent : null;

  // Airflow's theme: of the page around this one, or what its pages remember.
  const showTheme = () => {
    const chosen = airflow ? airflow.document.documentElement.className : localStorage.getItem("theme") || "";
    const theme = /\b(dark|light)\b/.exec(chosen);
    if (theme) document.documentElement.dataset.theme = theme[1];
  };
  try {
    showTheme();
    if (airflow) {
      new MutationObserver(showTheme).observe(airflow.document.documentElement, { attributeFilter: ["class"] });
    }
  } catch { /* The page around this one is not Airflow's. */ }

  // The user's time zone, as chosen in Airflow. The server writes times in the zone of this cookie.
  let zone = null;
  try { zone = localStorage.getItem("timezone"); } catch { /* Storage is turned off. */ }
  zone = (zone || "").replace(/^"|"$/g, "") || Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && zone !== script.dataset.zone && !sessionStorage.getItem(`zone:${zone}`)) {
    sessionStorage.setItem(`zone:${zone}`, "1");
    document.cookie = `mics_zone=${encodeURIComponent(zone)}; path=${script.dataset.root}; SameSite=Lax`;
    if (navigator.cookieEnabled) location.reload();
  }

  // Links to Airflow's own pages: a frame may not leave its place, the page around it may.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-top]");
    if (!link || !airflow || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const outside = airflow.document.createElement("a");
    outside.href = link.href;
    airflow.document.body.append(outside);
    outside.click();
    outside.remove();
  });
})();
