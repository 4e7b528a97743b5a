"""Images of the ends of an order: Figure 1."""

from keras_snn.plot.axes import pyplot


def example_images(groups, title):
    """Images in labelled lines, in groups side by side: Figure 1.

    Args:
        groups: Dict of heading to a dict of line to array of images in
            [0, 1], of shape (images, rows, cols, 3). All groups have the same
            lines.
        title: Of the figure.

    Returns:
        A matplotlib figure.
    """
    plt = pyplot()
    lines = list(next(iter(groups.values())))
    most = max(len(i) for group in groups.values() for i in group.values())
    figure = plt.figure(
        figsize=(0.75 * most * len(groups) + 1.5, 0.75 * len(lines) + 1),
        layout="constrained",
    )
    parts = figure.subfigures(1, len(groups), squeeze=False, wspace=0.05)[0]
    for part, (heading, group) in zip(parts, groups.items(), strict=True):
        part.suptitle(heading, fontsize=10)
        axes = part.subplots(len(lines), most, squeeze=False)
        for row, line in zip(axes, lines, strict=True):
            for axis in row:
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
            for axis, image in zip(row, group[line], strict=False):
                axis.imshow(image, vmin=0, vmax=1)
            row[0].set_ylabel(line, rotation=0, ha="right", va="center")
    figure.suptitle(title, fontsize=11)
    plt.close(figure)
    return figure
