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
  // A zone that the server does not take is tried once: the page would load itself again for ever.
  try {
    const chosen = (localStorage.getItem("timezone") || "").replace(/^"|"$/g, "");
    const zone = chosen || Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (zone === script.dataset.zone) {
      sessionStorage.removeItem("mics_zone_tried");
    } else if (zone && sessionStorage.getItem("mics_zone_tried") !== zone) {
      sessionStorage.setItem("mics_zone_tried", zone);
      document.cookie = `mics_zone=${encodeURIComponent(zone)}; path=${script.dataset.root}; SameSite=Lax`;
      if (navigator.cookieEnabled) location.reload();
    }
  } catch { /* Storage is turned off. */ }

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
