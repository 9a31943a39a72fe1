"""How well the texts of a page can be read: the contrast of each with what lies behind it, as a browser paints it."""

from playwright.sync_api import Locator

# WCAG 2.2, contrast ratio. Formulas are left out: their glyphs are drawn in the text's colour. So are Jupyter's prompts,
# which are not ours. The canvas reads whatever form of a colour the browser computes.
_LEAST_CONTRAST = """area => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
    const parse = colour => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, alpha] = canvas.getImageData(0, 0, 1, 1).data;
        return [r, g, b, alpha / 255];
    };
    const over = (top, alpha, below) => below.map((value, i) => top[i] * alpha + value * (1 - alpha));
    const luminance = rgb => {
        const [r, g, b] = rgb.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let least = [Infinity, ""];
    const walker = document.createTreeWalker(area, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        const isShown = element.checkVisibility() && walker.currentNode.data.trim();
        if (!isShown || element.closest("mjx-container, script, style, .jp-OutputPrompt")) continue;
        const ancestors = [];
        for (let at = element; at; at = at.parentElement) ancestors.unshift(getComputedStyle(at));
        let background = [255, 255, 255];
        let opacity = 1;
        for (const style of ancestors) {
            opacity *= Number(style.opacity);
            const colour = parse(style.backgroundColor);
            background = over(colour, colour[3] * opacity, background);
        }
        const colour = parse(getComputedStyle(element).color);
        const text = over(colour, colour[3] * opacity, background);
        const [light, dark] = [luminance(text), luminance(background)].sort((a, b) => b - a);
        const contrast = (light + 0.05) / (dark + 0.05);
        if (contrast < least[0]) least = [contrast, walker.currentNode.data.trim()];
    }
    return least;
}"""


def least_contrast(area: Locator) -> tuple[float, str]:
    """Return the lowest contrast in an element, and the text that has it."""
    contrast, text = area.evaluate(_LEAST_CONTRAST)
    return float(contrast), str(text)
